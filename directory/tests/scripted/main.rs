//! What a real server rarely does, played by a scripted one: ranges as Windows sends them, hangs, broken answers, limits
//! hit half way, wrong passwords, and a server that goes away.

#[cfg(test)]
mod check;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod lookup;
#[cfg(test)]
mod one_server;
#[cfg(test)]
mod play;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod second_look;
#[cfg(test)]
mod server;
#[cfg(test)]
mod source;
#[cfg(test)]
mod unindexed;
#[cfg(test)]
mod windows;
