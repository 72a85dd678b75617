//! The organizations of a control plane, for the administrator of its machine, who opens the database itself: a new
//! control plane has no token yet.

use std::sync::Arc;

use postern_runtime::clock::SharedClock;
use postern_store::{DatabaseUrl, Store};

use super::access::Services;
use super::actor::Actor;
use super::error::{Error, Result};
use super::gate::{Door, Gate};
use super::names;
use crate::records::{AgentId, ApiToken, Organization, Page, PageRequest, Role};

/// Name of the token that comes with an organization.
const FIRST_TOKEN: &str = "first owner";

/// The organizations.
#[derive(Debug)]
pub struct Organizations(Services);

/// A valid name of an organization.
#[derive(Clone, Debug)]
pub struct OrganizationName(String);

impl OrganizationName {
    /// The trimmed name. [`Error::Field`]: it is invalid.
    pub fn new(name: &str) -> Result<Self> {
        names::valid("name", name).map(Self)
    }
}

/// A new owner token.
#[derive(Debug)]
pub struct OwnerToken {
    /// Its organization.
    pub organization: Organization,
    /// The token.
    pub token: ApiToken,
    /// Its text, which cannot be read again.
    pub text: String,
}

/// A gate without agents: replicas that serve agents learn from the store.
struct NoAgents;

impl Gate for NoAgents {
    fn door(&self) -> Door {
        Door { address: String::new(), ca_sha256: [0; 32] }
    }

    fn cut(&self, _: AgentId) {}
}

impl Organizations {
    /// Opens a database, with or without a running server.
    pub async fn open(url: &DatabaseUrl, clock: SharedClock) -> Result<Self> {
        Ok(Self(Services::new(Store::open(url).await?, clock, Arc::new(NoAgents))))
    }

    /// Creates an organization and its first owner token. [`Error::Conflict`]: the name is taken.
    pub async fn create(&self, name: &OrganizationName) -> Result<OwnerToken> {
        let organization = self.0.store.create_organization(&name.0, self.0.now()).await?;
        self.owner_token(organization).await
    }

    /// Creates another owner token for the organization with this name. [`Error::NotFound`]: there is none.
    pub async fn create_token(&self, name: &str) -> Result<OwnerToken> {
        let organization = self.0.store.find_organization(name).await?.ok_or_else(|| Error::no("organization"))?;
        self.owner_token(organization).await
    }

    /// The organizations, oldest first.
    pub async fn list(&self, request: &PageRequest) -> Result<Page<Organization>> {
        Ok(self.0.store.list_organizations(request).await?)
    }

    async fn owner_token(&self, organization: Organization) -> Result<OwnerToken> {
        let actor = Actor::machine(organization.id);
        let (token, text) = self.0.change_api_tokens(&actor)?.create(FIRST_TOKEN, Role::Owner, None).await?;
        Ok(OwnerToken { organization, token, text })
    }
}
