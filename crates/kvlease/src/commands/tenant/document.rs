//! The daemon's configuration as a document, whose comments and order stay.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kvlease_server::{
    ServeArgs,
    config::{self, Config},
};
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};

use super::{replace::replace, token::Token};
use crate::failure::{Failure, Status};

/// The section of tenants, and the key of hashes.
const SECTION: &str = "tenant";
const TOKENS: &str = "token_sha256";

/// A configuration that is being edited.
pub(super) struct Document {
    path: PathBuf,
    /// The text that was read.
    earlier: String,
    document: DocumentMut,
}

/// Reads a configuration as the daemon does, without variables of the environment.
pub(super) fn load(path: &Path) -> Result<Config, Failure> {
    let args = ServeArgs { config: Some(path.to_owned()), ..ServeArgs::default() };
    let loaded = config::load(&args, []);
    loaded.map_err(|error| Failure::new(Status::Usage, error.to_string()))
}

impl Document {
    /// Reads a configuration that the daemon takes.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        load(path)?;
        let earlier = fs::read_to_string(path).map_err(Failure::file("read", path))?;
        let document = earlier.parse().map_err(|error: toml_edit::TomlError| {
            let path = path.display();
            let line =
                format!("the file is no TOML: correct it, {}, path=`{path}`", error.message());
            Failure::new(Status::Usage, line)
        })?;
        Ok(Self { path: path.to_owned(), earlier, document })
    }

    /// Writes it, if the daemon would take it.
    pub(super) fn write(&self) -> Result<(), Failure> {
        let check = |file: &Path| {
            load(file).map(drop).map_err(|failure| {
                // The file that was checked is gone when this is read.
                let (checked, shown) =
                    (file.display().to_string(), self.path.display().to_string());
                let line = failure.to_string().replace(&checked, &shown);
                Failure::new(Status::Usage, format!("nothing was changed: {line}"))
            })
        };
        replace(&self.path, Some(&self.earlier), &self.document.to_string(), check).map(drop)
    }

    /// Adds a section for a tenant. `false` if there is one.
    pub(super) fn add(&mut self, name: &str, tenant: Table) -> Result<bool, Failure> {
        let tenants = self.tenants()?;
        if tenants.contains_key(name) {
            return Ok(false);
        }
        tenants.insert(name, Item::Table(tenant));
        Ok(true)
    }

    /// Removes the section of a tenant. `false` if there is none.
    pub(super) fn remove(&mut self, name: &str) -> Result<bool, Failure> {
        Ok(self.tenants()?.remove(name).is_some())
    }

    /// Adds the hash of a token to the section of a tenant.
    pub(super) fn add_token(&mut self, name: &str, token: &Token) -> Result<(), Failure> {
        let odd = || odd(&format!("{SECTION}.{name}"));
        let tenant = self.tenants()?.get_mut(name).and_then(Item::as_table_like_mut);
        let tenant = tenant.ok_or_else(odd)?;
        let tokens = tenant.entry(TOKENS).or_insert_with(|| Array::new().into());
        // One value stands for a list of one.
        if let Some(one) = tokens.as_str() {
            *tokens = Array::from_iter([one]).into();
        }
        tokens.as_array_mut().ok_or_else(odd)?.push(token.digits());
        Ok(())
    }

    fn tenants(&mut self) -> Result<&mut dyn TableLike, Failure> {
        let tenants = self.document.entry(SECTION).or_insert_with(|| {
            let mut tenants = Table::new();
            tenants.set_implicit(true);
            Item::Table(tenants)
        });
        tenants.as_table_like_mut().ok_or_else(|| odd(SECTION))
    }
}

/// A list of a section, on one line.
pub(super) fn list<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Item {
    values.into_iter().collect::<Array>().into()
}

fn odd(path: &str) -> Failure {
    let line = format!("this part of the file is no section: edit it by hand, key=`{path}`");
    Failure::new(Status::Usage, line)
}
