//! Guards the wire contract: every message, field number and rpc is listed in a snapshot, so that an accidental
//! breaking change shows in review. A deliberate, compatible change updates the snapshot.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};

#[test]
fn the_schema_is_the_one_agreed() {
    let files = ["postern/gateway/v1/enrollment.proto", "postern/gateway/v1/gateway.proto"];
    let set = protox::compile(files, ["."]).expect("the .proto files compile");
    insta::assert_snapshot!(listing(&set));
}

fn listing(set: &FileDescriptorSet) -> String {
    let mut out = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let stream = |on: bool| if on { "stream " } else { "" };
                out.push(format!(
                    "rpc {}.{}({}{}) returns ({}{})",
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    method.input_type(),
                    stream(method.server_streaming()),
                    method.output_type()
                ));
            }
        }
        for number in &file.enum_type {
            for value in &number.value {
                out.push(format!("enum {} {} = {}", number.name(), value.name(), value.number()));
            }
        }
        for message in &file.message_type {
            list_message(&mut out, "", message);
        }
    }
    out.join("\n")
}

fn list_message(out: &mut Vec<String>, within: &str, message: &DescriptorProto) {
    let name = format!("{within}{}", message.name());
    out.push(format!("message {name}"));
    for field in &message.field {
        let repeated = if field.label() == Label::Repeated { "repeated " } else { "" };
        let kind = match field.r#type() {
            Type::Message | Type::Enum => field.type_name().to_owned(),
            scalar => scalar.as_str_name().to_owned(),
        };
        let group = field.oneof_index.and_then(|place| message.oneof_decl.get(usize::try_from(place).ok()?));
        let group = group.map(|group| format!(" in {}", group.name())).unwrap_or_default();
        out.push(format!("  {} = {repeated}{kind} {}{group}", field.number(), field.name()));
    }
    for nested in &message.nested_type {
        list_message(out, &format!("{name}."), nested);
    }
}
