//! Everything that reads text or lists pays for it in steps, so the bound on steps bounds the time.

use super::*;
use crate::identity::mapping::expression::names::Function;

/// 100 steps of text, all of it blank: what looks whether it is empty reads the whole.
fn blank() -> Value {
    Value::text(" ".repeat(6_400))
}

fn list(of: &Value) -> Value {
    Value::List(std::sync::Arc::new(vec![of.clone(); 50]))
}

fn map(keys: i64) -> Value {
    let key = |number: i64| std::sync::Arc::from(format!("{number}{}", "k".repeat(6_400)));
    Value::Map(std::sync::Arc::new((0..keys).map(|number| (key(number), Value::Null)).collect()))
}

/// The steps of a function with these arguments, whether it fails or not.
fn spent(function: Function, arguments: Vec<Value>) -> u32 {
    let slots = Slots::default();
    let inputs = inputs(&slots, &[]);
    let mut evaluation = Evaluation::new(&inputs);
    let _ = evaluation.apply(function, arguments);
    evaluation.spent()
}

#[test]
fn every_function_pays_for_the_text_that_it_gets() {
    for function in Function::ALL {
        let (least, most) = function.arguments();
        for count in least..=most.min(3) {
            for place in 0..count {
                let mut arguments = vec![Value::text("x"); count];
                arguments[place] = blank();
                let steps = spent(*function, arguments);
                assert!(steps >= 100, "{function:?} with long text at {place} of {count}: {steps} steps");
            }
        }
    }
}

#[test]
fn every_function_pays_for_the_elements_that_it_reads() {
    use Function as F;
    let blanks = list(&blank());
    let more = Value::text("k".repeat(6_400));
    for (function, arguments, least) in [
        (F::First, vec![blanks.clone()], 5_000),
        (F::Join, vec![blanks.clone()], 5_000),
        (F::Join, vec![list(&Value::Null), Value::text(",")], 50),
        (F::Equal, vec![blanks.clone(), blanks.clone()], 5_000),
        (F::Unequal, vec![blanks.clone(), blanks.clone()], 5_000),
        (F::In, vec![blank(), blanks.clone()], 100),
        (F::In, vec![Value::text("x"), list(&Value::Null)], 50),
        (F::Add, vec![blanks.clone(), blanks], 100),
        (F::In, vec![more.clone(), map(20)], 300),
        (F::Index, vec![map(20), more], 300),
        (F::Equal, vec![map(20), map(20)], 2_000),
        (F::AnyOf, vec![blank(), blank(), blank()], 300),
    ] {
        let steps = spent(function, arguments);
        assert!(steps >= least, "{function:?}: {steps} steps, and not {least}");
    }
}

#[test]
fn every_variable_pays_for_the_values_that_it_reads() {
    let blank = " ".repeat(64_000);
    let many = vec!["x"; 1_000];
    let broken: &[u8] = &[b"x".repeat(64_000), vec![0xff]].concat();
    let mut wrong = vec![b'x'; 64_000];
    wrong.push(b'y');
    for source in ["big", "all.big", "has(all.big)", "has(raw.big)", "raw.big", "primary_mail", "flags.disabled"] {
        let mut slots = Slots::default();
        let expression = Expression::compile(source, &mut slots).unwrap();
        let texts = [blank.as_bytes(), broken, &wrong];
        for text in texts {
            let values: Vec<Vec<&[u8]>> = slots.all().iter().map(|_| vec![text]).collect();
            let inputs = inputs(&slots, &values);
            let mut evaluation = Evaluation::new(&inputs);
            let _ = evaluation.value(&expression.node);
            assert!(evaluation.spent() >= 1_000, "{source}: {} steps", evaluation.spent());
        }
        if source.contains("big") && !source.contains("raw") && source != "big" {
            let many: Vec<&[u8]> = many.iter().map(|value| value.as_bytes()).collect();
            let values = vec![many];
            let inputs = inputs(&slots, &values);
            let mut evaluation = Evaluation::new(&inputs);
            let _ = evaluation.value(&expression.node);
            assert!(evaluation.spent() >= 1_000, "{source} of many values: {} steps", evaluation.spent());
        }
    }
}

#[test]
fn fields_and_keys_of_maps_are_paid_for() {
    let key = "k".repeat(1_000);
    let map = format!("{{'{key}': 1}}");
    for source in [format!("{map}.{key}"), format!("has({map}.x)"), format!("{map}.map(key, key)")] {
        let (least, slots) = (if source.contains(&format!(".{key}")) { 30 } else { 15 }, &mut Slots::default());
        let expression = Expression::compile(&source[..source.len().min(2_000)], slots);
        let Ok(expression) = expression else { continue };
        let inputs = inputs(slots, &[]);
        let mut evaluation = Evaluation::new(&inputs);
        let _ = evaluation.value(&expression.node);
        assert!(evaluation.spent() >= least, "{} steps", evaluation.spent());
    }
}

#[test]
fn blank_text_in_many_lists_does_not_escape_the_bounds() {
    let blanks = format!("[replace('{}', ' ', '{}')]", " ".repeat(500), " ".repeat(100));
    let (lists, times) = (vec!["b"; 150].join(","), vec!["0"; 40].join(","));
    let made = format!("{blanks}.map(b, [[{lists}]].map(l, [{times}].map(i, first(l) == null)))");
    let fault = evaluate(&format!("{made}.size() == 1 ? 'x' : 'y'")).unwrap_err();
    assert!(fault.what.contains("too many steps"), "{fault}");
}
