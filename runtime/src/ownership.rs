//! Whether files and folders belong to the user of this process. Who owns a folder can put links into it, and a process
//! with more rights would write wherever they lead.

pub use postern_platform::files::no_follow;
pub use postern_platform::ownership::{Error, check_file, check_folder, check_readable};
