//! `postern`: the control plane's server and its administrators' command line.

fn main() -> std::process::ExitCode {
    postern_control_plane::cli::main()
}
