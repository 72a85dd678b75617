//! The attributes that the organization has defined, as commands need them.

use postern_engine::records::AttributeDefinition;

use super::super::super::api::attributes::AttributeView;
use super::super::super::api::page::Listing;
use super::super::client::Client;
use super::super::error::Error;

/// All definitions, two hundred at most.
pub(super) async fn definitions(client: &Client) -> Result<Vec<AttributeDefinition>, Error> {
    let defined: Listing<AttributeView> = client.get("attributes", &[]).await?;
    Ok(defined.items.into_iter().map(AttributeDefinition::from).collect())
}
