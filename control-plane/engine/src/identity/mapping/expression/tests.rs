//! Expressions: what they give, what is refused when they are compiled, and that hostile ones end.

mod costs;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::*;

type Attributes<'a> = &'a [(&'a str, &'a [&'a str])];

const ADA: Attributes<'static> = &[
    ("givenname", &["Ada"]),
    ("sn", &["Größe"]),
    ("mail", &["ada@example.org", "countess@example.org"]),
    ("telephonenumber", &["+49 (30) 12-34"]),
    ("memberof", &["cn=Staff,dc=x", "cn=Admins,dc=x"]),
    ("useraccountcontrol", &["514"]),
    ("whencreated", &["20261128093000.0Z"]),
    ("department", &["  "]),
    ("employeenumber", &["007"]),
];

fn evaluate_with(source: &str, attributes: Attributes<'_>) -> Result<Value, Fault> {
    let mut slots = Slots::default();
    let expression = Expression::compile(source, &mut slots)?;
    let values = slots.all().iter().map(|slot| {
        let found = attributes.iter().find(|(name, _)| *name == slot.name);
        found.map_or_else(Vec::new, |(_, values)| values.iter().map(|value| value.as_bytes()).collect())
    });
    let values: Vec<Vec<&[u8]>> = values.collect();
    expression.evaluate(&inputs(&slots, &values))
}

fn inputs<'e>(slots: &'e Slots, values: &[Vec<&'e [u8]>]) -> Inputs<'e> {
    Inputs {
        slots,
        values: values.to_vec(),
        binary: Cow::Borrowed(&[]),
        dn: Some("cn=Ada\\, Countess,ou=People,dc=x"),
        external_id: "42",
        login: Some("ada"),
        given: &[],
        choice: 0,
    }
}

fn evaluate(source: &str) -> Result<Value, Fault> {
    evaluate_with(source, ADA)
}

#[track_caller]
fn gives(source: &str, wanted: &str) {
    let given = evaluate(source).map(|value| value.to_json());
    assert_eq!(given, Ok(serde_json::from_str(wanted).unwrap()), "{source}");
}

/// Expressions, and what they give.
const GIVEN: &[(&str, &str)] = &[
    ("givenName", "\"Ada\""),
    ("GIVENNAME", "\"Ada\""),
    ("gn + ' ' + surname", "\"Ada Größe\""),
    ("title", "null"),
    ("department", "null"),
    ("all.mail", "[\"ada@example.org\",\"countess@example.org\"]"),
    ("all.title", "[]"),
    ("attr('mail')", "\"ada@example.org\""),
    ("values('mail').size()", "2"),
    ("raw.userAccountControl", "\"514\""),
    ("userAccountControl + 1", "515"),
    ("has_bit(userAccountControl, 2)", "true"),
    ("flags.disabled", "true"),
    ("flags.locked", "null"),
    ("dn", "\"cn=Ada\\\\, Countess,ou=People,dc=x\""),
    ("rdn(dn)", "\"Ada, Countess\""),
    ("external_id + login", "\"42ada\""),
    ("employeeNumber", "\"007\""),
    ("int(employeeNumber) * 2", "14"),
    ("7 / 2 + 7 % 2", "4"),
    ("1.5 < 2", "true"),
    ("1 == 1.0", "true"),
    ("1 == '1'", "false"),
    ("-(3)", "-3"),
    ("whenCreated > timestamp('2026-01-01T00:00:00Z')", "true"),
    ("date(whenCreated)", "\"2026-11-28\""),
    ("string(whenCreated)", "\"2026-11-28T09:30:00Z\""),
    ("generalized_time(whenCreated)", "\"20261128093000Z\""),
    ("timestamp(filetime(whenCreated)) == whenCreated", "true"),
    ("sn.lower().ascii()", "\"grosse\""),
    ("ascii('Łódź ü ß')", "\"Lodz u ss\""),
    ("upper(sn)", "\"GRÖSSE\""),
    ("keep(telephoneNumber, '+0123456789')", "\"+49301234\""),
    ("mail.split('@')", "[\"ada\",\"example.org\"]"),
    ("mail.split('@')[1]", "\"example.org\""),
    ("domain(mail)", "\"example.org\""),
    ("local_part(mail)", "\"ada\""),
    ("join([givenName, title, sn], ' ')", "\"Ada Größe\""),
    ("join([title])", "null"),
    ("first(all.mail)", "\"ada@example.org\""),
    ("any_of(title, department, givenName)", "\"Ada\""),
    ("any_of(title)", "null"),
    ("mail.replace('example', 'test')", "\"ada@test.org\""),
    ("' x '.trim()", "\"x\""),
    ("sn.substring(0, 3)", "\"Grö\""),
    ("sn.substring(99)", "\"\""),
    ("title.startsWith('x')", "false"),
    ("mail.endsWith('.org') && mail.contains('@')", "true"),
    ("lower(title)", "null"),
    ("title == null ? 'none' : title", "\"none\""),
    ("all.memberOf.exists(g, g.startsWith('cn=Admins'))", "true"),
    ("all.memberOf.all(g, g.endsWith('dc=x'))", "true"),
    ("all.memberOf.exists_one(g, rdn(g) == 'Staff')", "true"),
    ("all.memberOf.map(g, rdn(g))", "[\"Staff\",\"Admins\"]"),
    ("all.memberOf.filter(g, rdn(g) != 'Staff').map(g, rdn(g).lower())", "[\"admins\"]"),
    ("[1, 2].map(x, [3, 4].map(y, x * y))", "[[3,4],[6,8]]"),
    ("title.map(t, t)", "[]"),
    ("{'DE': 'Germany'}['DE']", "\"Germany\""),
    ("{'DE': 'Germany'}.DE", "\"Germany\""),
    ("'DE' in {'DE': 1}", "true"),
    ("2 in [1, 2]", "true"),
    ("has(all.mail)", "true"),
    ("has(all.title)", "false"),
    ("true || title.x", "true"),
    ("title.x || true", "true"),
    ("false && title.x", "false"),
    ("size('äß')", "2"),
];

#[test]
fn expressions_give_what_cel_says() {
    for (source, wanted) in GIVEN {
        gives(source, wanted);
    }
}

#[test]
fn the_primary_address_is_a_variable() {
    let attributes: Attributes<'_> = &[("proxyaddresses", &["smtp:a@x.org", "SMTP:b@x.org"])];
    assert_eq!(evaluate_with("primary_mail", attributes), Ok(Value::text("b@x.org")));
    assert_eq!(evaluate("primary_mail"), Ok(Value::Null));
}

#[test]
fn what_cannot_be_evaluated_says_why_and_where() {
    for (source, position, what) in [
        ("givenName + title", 11, "a value is missing"),
        ("1 + 'x'", 3, "cannot be calculated"),
        ("1 < 'x'", 3, "cannot be compared"),
        ("1 / 0", 3, "no number"),
        ("9223372036854775807 + 1", 21, "no number"),
        ("lower(1)", 6, "text is needed"),
        ("!title", 1, "a boolean is needed"),
        ("all.mail[7]", 9, "no element 7"),
        ("{'a': 1}.b", 9, "no \"b\""),
        ("string(all.mail)", 7, "first or join"),
        ("timestamp('soon')", 10, "this text is no time"),
        ("0.0 / 0.0", 5, "no number"),
        ("string(1.0 / 0.0)", 12, "no number"),
        ("1e308 * 10.0", 7, "no number"),
    ] {
        let fault = evaluate(source).unwrap_err();
        assert!(fault.what.contains(what), "{source}: {fault}");
        assert_eq!(fault.position, position, "{source}: {fault}");
    }
    let fault = evaluate_with("pwdReset", &[("pwdreset", &["maybe"])]).unwrap_err();
    assert_eq!(fault.what, "a value of pwdreset is not a boolean");
}

#[test]
fn what_does_not_compile_says_why_and_where() {
    let long = "a".repeat(MAX_CHARACTERS + 1);
    let deep = |times: usize| format!("{}1{}", "(".repeat(times), ")".repeat(times));
    let (deep, deepest) = (deep(390), deep(500));
    let (chain, longest) = (vec!["1"; 390].join("+"), vec!["1"; 500].join("+"));
    let fields = format!("a{}", ".b".repeat(390));
    let choices = format!("{}1", "true ? 1 : ".repeat(150));
    for (source, position, what) in [
        ("", 0, "empty"),
        ("givenName +", 12, "it ends too early"),
        ("email ← lower(mail)", 7, "leave out the target and the arrow"),
        ("lower(mail))", 12, "')' is not expected here"),
        ("1e999", 1, "syntax"),
        ("lower(", 7, "it ends too early"),
        ("nonsense(1)", 9, "no function \"nonsense\""),
        ("1 + nonsense(1)", 13, "no function \"nonsense\""),
        ("lower(a, b)", 6, "lower takes 1 argument; 2 were given"),
        ("unique(login, 1)", 7, "by outbound rules"),
        ("matches(a, b)", 8, "regular expressions"),
        ("flags.rich", 6, "no flag \"rich\""),
        ("attr(mail)", 5, "in quotation marks"),
        ("b'x'", 1, "bytes"),
        ("A{b: 1}", 2, "objects"),
        (&long, 0, "at most 2000"),
        (&deep, 0, "too deep"),
        (&deepest, 0, "at most 400"),
        (&chain, 0, "nested"),
        (&longest, 0, "at most 400"),
        (&fields, 0, "nested"),
        (&choices, 0, ""),
    ] {
        let fault = Expression::compile(source, &mut Slots::default()).unwrap_err();
        let shown = source.get(..40).unwrap_or(source);
        assert!(fault.what.contains(what), "{shown}: {fault}");
        assert!(position == 0 || fault.position == position, "{shown}: {fault}");
    }
}

#[test]
fn hostile_expressions_end_soon() {
    let big = "x".repeat(60_000);
    let values: Vec<&str> = vec![&big; 2];
    let many: Vec<&str> = vec!["v"; 1_000];
    let too_many: Vec<&str> = vec!["v"; 1_001];
    let attributes: Attributes<'_> = &[("big", &values), ("many", &many), ("toomany", &too_many)];
    let list = "[0,1,2,3,4,5,6,7,8,9]";
    let nested =
        format!("{list}.all(a, {list}.all(b, {list}.all(c, {list}.all(d, {list}.all(e, {list}.all(f, true))))))");
    let doubled = format!("['xx']{}", ".map(a, join([a,a,a,a,a,a,a,a,a,a]))".repeat(20));
    let shared = format!("[1]{}", ".map(a, [a, a])".repeat(30));
    let equal = format!("{shared} == {shared}");
    for source in [
        nested.as_str(),
        "all.many.map(a, all.many.map(b, a + b))",
        "all.many.map(a, all.many).map(a, a + a + a)",
        "all.many.map(a, big)",
        "big.replace('x', big)",
        "big.split('x')",
        "big.replace('x', 'yyyyyyyyyy')",
        "join(all.many.map(a, big))",
        "all.toomany",
        "big + big + big + big + big + big",
        doubled.as_str(),
        equal.as_str(),
    ] {
        let begun = Instant::now();
        let fault = evaluate_with(source, attributes).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(2), "{source}");
        let bounds = ["too many steps", "too much text", "a rule can read"];
        assert!(bounds.iter().any(|bound| fault.what.contains(bound)), "{source}: {fault}");
    }
    assert_eq!(evaluate_with("true || all.many.map(a, big).size() > 0", attributes), Ok(Value::Bool(true)));
    assert!(
        evaluate_with("all.many.map(a, big).size() > 0 || true", attributes).is_err(),
        "bounds are not made up for"
    );
}

proptest::proptest! {
    #[test]
    fn any_text_compiles_or_is_refused(source in "\\PC{0,40}|[a-z0-9()\\[\\]{}.,'\"+?:!&| -]{0,40}") {
        let _ = evaluate(&source);
    }
}

#[test]
fn every_function_is_tried_or_is_an_operator() {
    let tried = include_str!("tests.rs");
    for name in names::Function::NAMES.iter().filter(|name| !name.contains('_') || name.len() > 5) {
        assert!(name.starts_with(['_', '@', '-']) || tried.contains(&format!("{name}(")), "{name}");
    }
}
