//! Whether the program and the package are what they must be: a field that the packager drops shows only on somebody's server.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::msi::{REMOVE_OLD_AT, SECURE, UPGRADE_CODE};
use crate::steps::output_of;

/// Libraries of the compiler, which no Windows has.
const FOREIGN: [&str; 4] = ["libgcc", "libstdc++", "libwinpthread", "libssp"];
/// Deferred, as SYSTEM, a program of the package (`msidbCustomActionType…`).
const AS_SYSTEM: &str = "3090";
/// The same; its failure does not matter.
const AS_SYSTEM_IGNORED: &str = "3154";

/// The program needs nothing that Windows does not bring.
pub(super) fn imports(program: &Path) -> Result<()> {
    let said = output_of(Command::new("x86_64-w64-mingw32-objdump").arg("-p").arg(program))?;
    let imported: Vec<&str> = said.lines().filter_map(|line| line.trim().strip_prefix("DLL Name: ")).collect();
    ensure!(!imported.is_empty(), "{} imports nothing at all", program.display());
    let foreign = imported.iter().find(|name| FOREIGN.iter().any(|prefix| name.starts_with(prefix)));
    ensure!(foreign.is_none(), "{} needs {}, which no Windows has", program.display(), foreign.unwrap_or(&""));
    Ok(())
}

/// A table of the package, each row as its cells.
struct Table {
    name: &'static str,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn read(package: &Path, name: &'static str) -> Result<Self> {
        let said = output_of(Command::new("msiinfo").arg("export").arg(package).arg(name))?;
        Self::parse(name, &said)
    }

    fn parse(name: &'static str, said: &str) -> Result<Self> {
        let mut lines = said.lines().map(|line| line.trim_end_matches('\r').split('\t').map(str::to_owned).collect());
        let columns: Vec<String> = lines.next().with_context(|| format!("the package has no table {name}"))?;
        // The types, and the table's name with its keys.
        Ok(Self { name, columns, rows: lines.skip(2).collect() })
    }

    /// The cell in `column` of the row whose `key` is `value`.
    fn cell(&self, key: &str, value: &str, column: &str) -> Result<&str> {
        let place = |name: &str| {
            let found = self.columns.iter().position(|column| column == name);
            found.with_context(|| format!("{} has no column {name}", self.name))
        };
        let (key, column) = (place(key)?, place(column)?);
        let row = self.rows.iter().find(|row| row.get(key).is_some_and(|cell| cell == value));
        let row = row.with_context(|| format!("{} has no row {value}", self.name))?;
        Ok(row.get(column).map_or("", String::as_str))
    }

    fn must_be(&self, key: &str, value: &str, column: &str, wanted: &str) -> Result<()> {
        let found = self.cell(key, value, column)?;
        ensure!(found == wanted, "the package says {column} = {found:?} of {value} in {}, not {wanted:?}", self.name);
        Ok(())
    }
}

/// The tables of the package say what the definition asked for, and what was mended.
pub(super) fn tables(package: &Path, version: &str) -> Result<()> {
    let property = Table::read(package, "Property")?;
    for (name, wanted) in [
        ("ALLUSERS", "1"),
        ("ProductVersion", version),
        ("UpgradeCode", UPGRADE_CODE),
        ("SecureCustomProperties", SECURE),
        ("REINSTALLMODE", "amus"),
    ] {
        property.must_be("Property", name, "Value", wanted)?;
    }
    let upgrade = Table::read(package, "Upgrade")?;
    for (name, column, wanted) in [
        ("WIX_UPGRADE_DETECTED", "Attributes", "513"),
        ("WIX_UPGRADE_DETECTED", "VersionMax", version),
        ("WIX_DOWNGRADE_DETECTED", "Attributes", "2"),
        ("WIX_DOWNGRADE_DETECTED", "VersionMin", version),
    ] {
        upgrade.must_be("ActionProperty", name, column, wanted)?;
    }
    let conditions = Table::read(package, "LaunchCondition")?;
    ensure!(!conditions.cell("Condition", "NOT WIX_DOWNGRADE_DETECTED", "Description")?.is_empty());
    let service = Table::read(package, "ServiceInstall")?;
    for (column, wanted) in
        [("StartName", r"NT SERVICE\PosternAgent"), ("Arguments", "service run"), ("StartType", "2")]
    {
        service.must_be("Name", "PosternAgent", column, wanted)?;
    }
    // 2 and 32: stop at installation and removal; 128: delete at removal.
    Table::read(package, "ServiceControl")?.must_be("Name", "PosternAgent", "Event", "162")?;
    Table::read(package, "Environment")?.must_be("Name", "=-*PATH", "Value", "[~];[INSTALLDIR]")?;
    actions(package)
}

/// The program's own steps run as SYSTEM, in their order, under their conditions.
fn actions(package: &Path) -> Result<()> {
    let actions = Table::read(package, "CustomAction")?;
    let sequence = Table::read(package, "InstallExecuteSequence")?;
    let at = |action: &str| -> Result<u32> {
        let at = sequence.cell("Action", action, "Sequence")?;
        at.parse().with_context(|| format!("{action} has no number in the sequence: {at:?}"))
    };
    let mut last = at("StartServices")?;
    for (action, kind, condition) in [
        ("Configure", AS_SYSTEM, "NOT REMOVE"),
        ("Enroll", AS_SYSTEM, "ENROLL_TOKEN_FILE AND NOT REMOVE"),
        ("StartIfEnrolled", AS_SYSTEM_IGNORED, "NOT REMOVE"),
        ("DeleteState", AS_SYSTEM_IGNORED, "REMOVE=\"ALL\" AND DELETE_STATE=1 AND NOT UPGRADINGPRODUCTCODE"),
    ] {
        actions.must_be("Action", action, "Type", kind)?;
        sequence.must_be("Action", action, "Condition", condition)?;
        if action != "DeleteState" {
            ensure!(at(action)? > last, "{action} does not come after what it needs");
            last = at(action)?;
        }
    }
    ensure!(last < at("InstallFinalize")?, "the service would be started after the end");
    let delete = at("DeleteState")?;
    ensure!(
        at("DeleteServices")? < delete && delete < at("RemoveFiles")?,
        "the state would be deleted at a wrong time"
    );
    ensure!(
        at("RemoveExistingProducts")? == REMOVE_OLD_AT,
        "the old version would be removed after the new one is there"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_is_not_as_wanted_is_named() -> Result<()> {
        let said = "Property\tValue\r\ns72\tl0\r\nProperty\tProperty\r\nALLUSERS\t1\r\n";
        let table = Table::parse("Property", said)?;
        table.must_be("Property", "ALLUSERS", "Value", "1")?;
        let wrong = table.must_be("Property", "ALLUSERS", "Value", "2");
        let missing = table.must_be("Property", "REINSTALLMODE", "Value", "amus");
        assert!(wrong.is_err_and(|error| error.to_string().contains("Value = \"1\" of ALLUSERS in Property")));
        assert!(missing.is_err_and(|error| error.to_string().contains("no row REINSTALLMODE")));
        assert!(Table::parse("Upgrade", "").is_err());
        Ok(())
    }
}
