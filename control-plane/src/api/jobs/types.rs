//! How the API describes kinds of job: their names, what they are asked for, and what comes of them. Each kind says it
//! itself.

use std::borrow::Cow;

use postern_engine::jobs::kind::{self, Kind, Schemas};
use postern_engine::kinds;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// What a job does, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KindName(Cow<'static, str>);

impl KindName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind. `None`: this release knows none of this name.
    pub fn kind(&self) -> Option<&'static dyn Kind> {
        kind::find(kinds::ALL, &self.0)
    }
}

impl From<&str> for KindName {
    fn from(name: &str) -> Self {
        Self(
            kind::find(kinds::ALL, name).map_or_else(|| Cow::Owned(name.to_owned()), |kind| Cow::Borrowed(kind.name())),
        )
    }
}

impl PartialSchema for KindName {
    fn schema() -> RefOr<Schema> {
        let names = kinds::ALL.iter().map(|kind| kind.name());
        let described: Vec<String> =
            kinds::ALL.iter().map(|kind| format!("`{}`: {}", kind.name(), kind.words().about)).collect();
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some(format!("What a job does. {}.", described.join(". "))))
            .enum_values(Some(names))
            .into()
    }
}

impl ToSchema for KindName {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("JobKind")
    }
}

/// What may be asked for.
pub(in super::super) fn input() -> RefOr<Schema> {
    one_of(|schemas| schemas.input, false)
}

/// What may come of it.
pub(super) fn result() -> RefOr<Schema> {
    one_of(|schemas| schemas.result, true)
}

fn one_of(name: impl Fn(Schemas) -> String, nullable: bool) -> RefOr<Schema> {
    let mut types = OneOfBuilder::new();
    if nullable {
        types = types.item(ObjectBuilder::new().schema_type(Type::Null));
    }
    for kind in kinds::ALL {
        types = types.item(Ref::from_schema_name(name(kind.schemas())));
    }
    types.into()
}

/// All types that a description of jobs refers to.
pub(in super::super) fn all() -> impl Iterator<Item = (String, RefOr<Schema>)> {
    kinds::ALL.iter().flat_map(|kind| kind.schemas().all)
}
