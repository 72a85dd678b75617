//! Stories of one agent and a gateway that behaves as the test wants it to, over real TLS on loopback.

#[cfg(test)]
mod agent;
#[cfg(test)]
mod alive;
#[cfg(test)]
mod enrollment;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod import;
#[cfg(test)]
mod line;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod pki;
#[cfg(test)]
mod process;
#[cfg(test)]
mod renewal;
#[cfg(test)]
mod session;
