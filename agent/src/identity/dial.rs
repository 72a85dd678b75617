//! The way to the control plane of an identity.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use postern_runtime::clock::SharedClock;

use super::source::IdentitySource;
use crate::link::dial::{Dial, Dialed, Error, encrypt, is_local, tcp};
use crate::link::proxy::ProxyRule;
use crate::link::tls;

/// Dials the control plane of an identity, with that identity's certificate.
pub struct TlsDial {
    identity: IdentitySource,
    proxy: ProxyRule,
    clock: SharedClock,
}

impl TlsDial {
    /// Dials with whatever certificate `identity` holds at the time.
    pub fn new(identity: IdentitySource, proxy: ProxyRule, clock: SharedClock) -> Self {
        Self { identity, proxy, clock }
    }
}

impl Dial for TlsDial {
    fn dial(&self) -> BoxFuture<'_, Result<Dialed, Error>> {
        Box::pin(async move {
            let identity = self.identity.current();
            let target = identity.address();
            let proxy = self.proxy.resolve(target).map_err(Error::ProxySetting)?;
            let tcp = tcp(target, proxy.as_ref(), &self.clock).await?;
            let config = tls::enrolled(&identity.credentials(), &self.clock, None).map_err(Error::Identity)?;
            let io = encrypt(tcp, target, Arc::new(config), &self.clock).await?;
            Ok(Dialed {
                io: Box::new(io),
                authority: target.to_string(),
                local: proxy.is_none() && is_local(&target.host),
            })
        })
    }
}

impl fmt::Debug for TlsDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsDial").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}
