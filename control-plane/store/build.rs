//! Rebuilds after a change of a migration, which the compiler does not notice.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
