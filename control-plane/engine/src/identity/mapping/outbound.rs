//! Outbound rules: what a target gets of a user or group. `attribute ← expression`, in the same language as inbound rules;
//! the expressions read the user or group.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::expression::{Expression, Fault, Inputs, Kind, MAX_STEPS_OF_ALL, Scope, Slots};
use super::rules::{MAX_RULES, Rule, RuleFault, RuleOf};
use crate::identity::values::{Value, generalized_time};

/// The longest name of an attribute.
const MAX_NAME: usize = 64;
/// The most values that a rule gives, and the longest, in bytes.
const MAX_VALUES: usize = 1_000;
const MAX_VALUE: usize = 4_096;
/// The most names with a number that a new account may get.
const MAX_CHOICES: u32 = 60;
/// The most rules that make such names: their choices have to go into one operation.
const MAX_UNIQUE: usize = 10;

/// What no rule may fill, in lower case: it is the server's own, or something else than rules takes care of it.
const NOT_BY_RULES: &[(&str, &str)] = &[
    ("createtimestamp", OWN),
    ("creatorsname", OWN),
    ("distinguishedname", OWN),
    ("entrydn", OWN),
    ("entryuuid", OWN),
    ("member", MEMBERS),
    ("memberof", MEMBERS),
    ("memberuid", MEMBERS),
    ("modifiersname", OWN),
    ("modifytimestamp", OWN),
    ("nsaccountlock", SWITCH),
    ("nsuniqueid", OWN),
    ("objectclass", OWN),
    ("objectguid", OWN),
    ("objectsid", OWN),
    ("pwdaccountlockedtime", SWITCH),
    ("sambantpassword", PASSWORD),
    ("sidhistory", OWN),
    ("unicodepwd", PASSWORD),
    ("uniquemember", MEMBERS),
    ("useraccountcontrol", SWITCH),
    ("userpassword", PASSWORD),
    ("whenchanged", OWN),
    ("whencreated", OWN),
];
const OWN: &str = "the directory's server sets it";
const MEMBERS: &str = "members are no matter of rules";
const SWITCH: &str = "whether an account is enabled is no matter of rules";
const PASSWORD: &str = "passwords are no matter of rules";

/// Compiled outbound rules.
#[derive(Debug, Default)]
pub struct Outbound {
    slots: Slots,
    compiled: Vec<(Rule, Expression)>,
}

/// What a rule gives of a user or group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The attribute of the target.
    pub attribute: String,
    /// The expression.
    pub expression: String,
    /// The fields that it reads.
    pub reads: Vec<String>,
    /// The values, none to empty the attribute; or why the rule fails.
    pub values: Result<Vec<String>, String>,
    /// Whether the rule makes a name that nobody else has: it is given to a new account, and stays.
    pub is_unique: bool,
}

/// The values of attributes by their names.
pub type Values = BTreeMap<String, Vec<String>>;

impl Outbound {
    /// Compiles rules. All that is wrong with them is reported at once.
    pub fn compile(rules: &[Rule]) -> Result<Self, Vec<RuleFault>> {
        let (mut all, mut faults) = (Self::default(), Vec::new());
        if rules.len() > MAX_RULES {
            let what = format!("there are {} rules, and a directory may have {MAX_RULES}", rules.len());
            return Err(vec![RuleFault { rule: MAX_RULES, target: String::new(), fault: Fault::new(0, what) }]);
        }
        for (number, rule) in rules.iter().enumerate() {
            let fault = |fault: Fault| RuleFault { rule: number, target: rule.target.clone(), fault };
            let twice = |(earlier, _): &(Rule, Expression)| {
                earlier.of == rule.of && earlier.target.eq_ignore_ascii_case(&rule.target)
            };
            if let Err(what) = attribute(&rule.target) {
                faults.push(fault(Fault::new(0, what)));
            } else if all.compiled.iter().any(twice) {
                faults.push(fault(Fault::new(0, "another rule before it fills the same attribute")));
            } else {
                match Expression::compile(&rule.expression, all.slots.of(scope(rule.of))) {
                    Ok(expression) => all.compiled.push((rule.clone(), expression)),
                    Err(wrong) => faults.push(fault(wrong)),
                }
            }
        }
        let unique = all.compiled.iter().filter(|(_, expression)| expression.is_unique()).count();
        if unique > MAX_UNIQUE {
            let what = format!("{unique} rules use unique, and at most {MAX_UNIQUE} may");
            faults.push(RuleFault { rule: 0, target: String::new(), fault: Fault::new(0, what) });
        }
        if faults.is_empty() { Ok(all) } else { Err(faults) }
    }

    /// What kind of value the first rule gives. `None`: it depends on the user or group.
    pub fn kind(&self) -> Option<Kind> {
        self.compiled.first().and_then(|(_, expression)| expression.kind(&self.slots))
    }

    /// The attributes of the target that rules fill.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.compiled.iter().map(|(rule, _)| rule.target.as_str())
    }

    /// The attributes of the target that are filled from one of these fields.
    pub fn attributes_that_read<'a>(&'a self, fields: &'a [String]) -> impl Iterator<Item = &'a str> {
        let reads = |expression: &Expression| {
            expression.reads(&self.slots).any(|read| fields.iter().any(|field| field == read))
        };
        self.compiled.iter().filter(move |(_, expression)| reads(expression)).map(|(rule, _)| rule.target.as_str())
    }

    /// The attributes of the target that rules about users or groups fill with exactly this field.
    pub fn attributes_of(&self, of: RuleOf, field: &str) -> Vec<&str> {
        let plain = |rule: &Rule| rule.of == of && rule.expression.trim() == field;
        self.compiled.iter().filter(|(rule, _)| plain(rule)).map(|(rule, _)| rule.target.as_str()).collect()
    }

    /// Whether one of the rules makes a name that nobody else has.
    pub fn is_unique(&self) -> bool {
        self.compiled.iter().any(|(_, expression)| expression.is_unique())
    }

    /// What the rules about users or groups give of one, of whom `fields` is known. A rule that fails does not stop the others.
    pub fn wanted(&self, of: RuleOf, fields: &BTreeMap<String, Json>) -> Vec<Wanted> {
        let given = self.given(fields);
        let inputs = Inputs::given(&self.slots, &given);
        let mut left = MAX_STEPS_OF_ALL;
        let wanted = |(rule, expression): &(Rule, Expression)| Wanted {
            attribute: rule.target.clone(),
            expression: rule.expression.clone(),
            reads: expression.reads(&self.slots).map(str::to_owned).collect(),
            values: expression
                .evaluate_within(&inputs, &mut left)
                .and_then(|value| texts(&value))
                .map_err(|fault| fault.to_string()),
            is_unique: expression.is_unique(),
        };
        self.compiled.iter().filter(|(rule, _)| rule.of == of).map(wanted).collect()
    }

    /// The further names of a new account, in the order in which they are tried: all attributes of one choice have the same
    /// number. Where a rule gives no value, it gives none with a number either.
    pub fn choices(&self, of: RuleOf, fields: &BTreeMap<String, Json>) -> Vec<Values> {
        let is_one = |(rule, expression): &&(Rule, Expression)| rule.of == of && expression.is_unique();
        let rules: Vec<&(Rule, Expression)> = self.compiled.iter().filter(is_one).collect();
        if rules.is_empty() {
            return Vec::new();
        }
        let given = self.given(fields);
        let mut left = MAX_STEPS_OF_ALL;
        let choice = |choice: u32| {
            let inputs = Inputs { choice, ..Inputs::given(&self.slots, &given) };
            let values = rules.iter().map(|(rule, expression)| {
                let values = texts(&expression.evaluate_within(&inputs, &mut left).ok()?).ok()?;
                Some((rule.target.clone(), values))
            });
            let values: Option<Values> = values.collect();
            values.map(|mut values| {
                values.retain(|_, values| !values.is_empty());
                values
            })
        };
        (1..=MAX_CHOICES).map_while(choice).filter(|values| !values.is_empty()).collect()
    }

    fn given(&self, fields: &BTreeMap<String, Json>) -> Vec<Value> {
        self.slots.all().iter().map(|slot| fields.get(&slot.name).map_or(Value::Null, value)).collect()
    }
}

fn scope(of: RuleOf) -> Scope {
    match of {
        RuleOf::Users => Scope::User,
        RuleOf::Groups => Scope::Group,
    }
}

/// Checks the name of a target's attribute.
fn attribute(name: &str) -> Result<(), String> {
    let mut letters = name.bytes();
    let fits = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && name.len() <= MAX_NAME
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'-');
    if !fits {
        return Err(
            "the target is the name of an attribute: letters, digits and -, 64 at most, the first a letter".into()
        );
    }
    let standard = postern_dn::attribute_names::standard_name(name).unwrap_or(name).to_ascii_lowercase();
    let not = NOT_BY_RULES.iter().find(|(name, _)| *name == standard);
    not.map_or(Ok(()), |(_, why)| Err(format!("no rule may fill {name}: {why}")))
}

/// A field of a user or group as expressions see it.
fn value(json: &Json) -> Value {
    match json {
        Json::Null | Json::Object(_) => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Number(number),
            (None, Some(number)) => Value::Decimal(number),
            (None, None) => Value::Null,
        },
        Json::String(text) => Value::text(text),
        Json::Array(values) => Value::List(values.iter().map(value).collect::<Vec<_>>().into()),
    }
}

/// The values that a target gets of a field; none for `null`. Or why it cannot get them.
pub fn written(field: &Json) -> Result<Vec<String>, String> {
    texts(&value(field)).map_err(|fault| fault.to_string())
}

/// The values that a target gets, as LDAP writes them (RFC 4517).
fn texts(value: &Value) -> Result<Vec<String>, Fault> {
    let one = |value: &Value| {
        if value.is_empty() {
            return Ok(None);
        }
        let text = match value {
            Value::Bool(true) => Some("TRUE".to_owned()),
            Value::Bool(false) => Some("FALSE".to_owned()),
            Value::Time(time) => Some(generalized_time(*time)),
            other => other.to_text().map(std::borrow::Cow::into_owned),
        };
        match text {
            None => Err(Fault::new(0, format!("the result has {}, and texts are needed", value.kind()))),
            Some(text) if text.len() > MAX_VALUE => {
                let what = format!("a value has {} bytes, and at most {MAX_VALUE} are allowed", text.len());
                Err(Fault::new(0, what))
            }
            Some(text) => Ok(Some(text)),
        }
    };
    match value {
        Value::List(values) if values.len() > MAX_VALUES => {
            Err(Fault::new(0, format!("the result has {} values, and at most {MAX_VALUES} are allowed", values.len())))
        }
        Value::List(values) => {
            Ok(values.iter().map(one).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
        single => Ok(one(single)?.into_iter().collect()),
    }
}

/// Rules to begin with.
pub fn defaults(active_directory: bool) -> Vec<Rule> {
    let name = if active_directory { "sAMAccountName" } else { "uid" };
    let users = [
        (name, "user_name"),
        ("cn", "any_of(display_name, user_name)"),
        ("givenName", "given_name"),
        ("sn", "any_of(family_name, display_name, user_name)"),
        ("displayName", "display_name"),
        ("mail", "email"),
        ("title", "attributes.title"),
        ("telephoneNumber", "attributes.phone_number"),
        ("mobile", "attributes.mobile_number"),
        ("employeeNumber", "attributes.employee_number"),
    ];
    let groups = [("cn", "display_name"), ("description", "description")];
    let rule = |of: RuleOf| {
        move |(target, expression): (&str, &str)| Rule {
            of,
            target: target.to_owned(),
            expression: expression.to_owned(),
        }
    };
    users.into_iter().map(rule(RuleOf::Users)).chain(groups.into_iter().map(rule(RuleOf::Groups))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(target: &str, expression: &str) -> Rule {
        Rule { of: RuleOf::Users, target: target.to_owned(), expression: expression.to_owned() }
    }

    fn wanted(expression: &str, user: &Json) -> Result<Vec<String>, String> {
        let rules = Outbound::compile(&[rule("mail", expression)]).unwrap_or_else(|faults| panic!("{faults:?}"));
        let fields = serde_json::from_value(user.clone()).unwrap();
        rules.wanted(RuleOf::Users, &fields).remove(0).values
    }

    #[test]
    fn rules_read_the_user_and_give_values_as_ldap_writes_them() {
        let user = json!({"user_name": "ada", "display_name": "Ada L", "attributes.level": 7, "attributes.vip": true,
            "attributes.tags": ["a", "", "b"], "attributes.since": "2026-11-28T09:30:00Z"});
        for (expression, values) in [
            ("user_name + '@x.example'", vec!["ada@x.example"]),
            ("email", vec![]),
            ("attributes.level + 1", vec!["8"]),
            ("attributes.vip", vec!["TRUE"]),
            ("attributes.tags", vec!["a", "b"]),
            ("attributes.tags.map(t, upper(t))", vec!["A", "B"]),
            ("timestamp(attributes.since)", vec!["20261128093000Z"]),
            ("any_of(given_name, display_name)", vec!["Ada L"]),
        ] {
            let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
            assert_eq!(wanted(expression, &user), Ok(values), "{expression}");
        }
        assert!(wanted("user_name - 1", &user).is_err());
    }

    #[test]
    fn a_name_that_nobody_else_has_is_numbered_alike_in_all_rules() {
        let login = "unique(lower(substring(given_name, 0, 1) + family_name), 2)";
        let mail = format!("{login} + '@x.example'");
        let rules = [rule("uid", login), rule("mail", &mail), rule("sn", "family_name")];
        let rules = Outbound::compile(&rules).unwrap();
        assert!(rules.is_unique());
        let fields = serde_json::from_value(json!({"given_name": "John", "family_name": "Doe"})).unwrap();
        let first = rules.wanted(RuleOf::Users, &fields);
        assert_eq!(first[0].values, Ok(vec!["jdoe".to_owned()]));
        assert_eq!(first.iter().map(|wanted| wanted.is_unique).collect::<Vec<_>>(), [true, true, false]);
        let choices = rules.choices(RuleOf::Users, &fields);
        assert_eq!(choices.len(), MAX_CHOICES as usize);
        let values = |one: &str| vec![one.to_owned()];
        let second = [("mail".to_owned(), values("jdoe2@x.example")), ("uid".to_owned(), values("jdoe2"))];
        assert_eq!(choices[0], Values::from(second));
        assert_eq!(choices[1]["uid"], values("jdoe3"));
        // Nothing becomes no name, and a rule that fails leaves the first one to be refused.
        assert!(rules.choices(RuleOf::Users, &BTreeMap::new()).is_empty());
        assert!(rules.choices(RuleOf::Groups, &fields).is_empty());
        let failing = Outbound::compile(&[rule("uid", "unique(given_name, -1)")]).unwrap();
        assert!(failing.choices(RuleOf::Users, &fields).is_empty());
        assert!(failing.wanted(RuleOf::Users, &fields)[0].values.as_ref().unwrap_err().contains("0 to 1000000"));
    }

    #[test]
    fn all_rules_together_have_so_many_steps() {
        let heavy = "attributes.l.all(x, attributes.l.all(y, true)) ? unique(user_name, 2) : 'b'";
        let rules: Vec<Rule> = (0..MAX_UNIQUE).map(|number| rule(&format!("at{number}"), heavy)).collect();
        let compiled = Outbound::compile(&rules).unwrap();
        let values: Vec<String> = (0..44).map(|number| number.to_string()).collect();
        let fields = serde_json::from_value(json!({ "user_name": "ada", "attributes.l": values })).unwrap();
        let wanted = compiled.wanted(RuleOf::Users, &fields);
        let last = wanted.last().unwrap().values.as_ref().unwrap_err();
        assert!(wanted[0].values.is_ok() && last.contains("all rules together"), "{last}");
        assert!(compiled.choices(RuleOf::Users, &fields).len() < 3);
        let many: Vec<Rule> =
            (0..=MAX_UNIQUE).map(|number| rule(&format!("at{number}"), "unique(user_name, 2)")).collect();
        let faults = Outbound::compile(&many).unwrap_err();
        assert!(faults[0].to_string().contains("at most 10"), "{}", faults[0]);
    }

    #[test]
    fn what_a_user_does_not_have_or_no_rule_may_fill_is_refused() {
        for (target, expression, part) in [
            ("mail", "mail", "there is no mail"),
            ("mail", "all.mail", "there is no all"),
            ("mail", "attr(\"sn\")", "only inbound rules"),
            ("mail", "flags.disabled", "there is no flags"),
            ("userPassword", "user_name", "passwords"),
            ("2.5.4.35", "user_name", "the target is the name"),
            ("memberOf", "user_name", "members"),
            ("userAccountControl", "attributes.level", "enabled"),
            ("mail;lang-de", "email", "the target is the name"),
        ] {
            let faults = Outbound::compile(&[rule(target, expression)]).unwrap_err();
            assert!(faults[0].to_string().contains(part), "{target} {expression}: {}", faults[0]);
        }
        let of_groups = Rule { of: RuleOf::Groups, ..rule("cn", "unique(display_name, 2)") };
        let faults = Outbound::compile(&[of_groups]).unwrap_err();
        assert!(faults[0].to_string().contains("only rules about users"), "{}", faults[0]);
        let twice = Outbound::compile(&[rule("mail", "email"), rule("MAIL", "user_name")]).unwrap_err();
        assert!(twice[0].to_string().contains("another rule"), "{}", twice[0]);
        assert!(NOT_BY_RULES.is_sorted());
    }

    #[test]
    fn the_rules_to_begin_with_compile() {
        for active_directory in [true, false] {
            assert!(Outbound::compile(&defaults(active_directory)).is_ok());
        }
    }
}
