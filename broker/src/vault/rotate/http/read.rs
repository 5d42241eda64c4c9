//! A description as somebody wrote it.

use super::super::driver::Unsuitable;
use super::super::plan::Table;
use super::settings::{
    Create, Find, Pages, Request, Revoke, Settings, Shown, Verify, ended, made, ok, unauthorized,
};

/// What stands where a place in an answer does.
const POINTER: &str = "a JSON pointer such as `/data/id`";
/// What stands where statuses do.
const STATUSES: &str = "a list of statuses, such as [200]";

impl Settings {
    /// Reads what somebody wrote. A member that is not known is refused, in the innermost table too.
    pub(in super::super) fn read(mut table: Table) -> Result<Self, Unsuitable> {
        let settings = Self {
            base: table.required("base", "an address such as `https://api.vendor.example`")?,
            manager: Shown::read(table.table("manager")?)?,
            credential: Shown::read(table.table("credential")?)?,
            find: Find::read(table.table("find")?)?,
            create: Create::read(table.table("create")?)?,
            verify: Verify::read(table.table("verify")?)?,
            revoke: Revoke::read(table.table("revoke")?)?,
            ca_file: table.optional("ca_file", "the path of a file")?,
        };
        table.finish()?;
        settings.check()?;
        Ok(settings)
    }
}

impl Shown {
    fn read(mut table: Table) -> Result<Self, Unsuitable> {
        let template = "a text with {secret} in it, such as `Bearer {secret}`";
        let header = table.optional("header", "the name of a header")?;
        let value = table.optional("value", template)?;
        let user = table.optional("user", template)?;
        let password = table.optional("password", template)?;
        let place = table.path("header");
        table.finish()?;
        match (header, value, user, password) {
            (Some(header), Some(value), None, None) => Ok(Self::Header { header, value }),
            (None, None, Some(user), Some(password)) => Ok(Self::Basic { user, password }),
            _ => Err(Unsuitable::Settings(format!(
                "`{}` has `header` and `value`, or `user` and `password`",
                place.trim_end_matches(".header")
            ))),
        }
    }
}

impl Request {
    fn read(table: &mut Table) -> Result<Self, Unsuitable> {
        Ok(Self {
            method: table.required("method", "a method such as `GET`")?,
            path: table.required("path", "a path such as `/v1/keys`")?,
            headers: table
                .optional("headers", "a table of texts")?
                .unwrap_or_default(),
            json: table.optional("json", "a body")?,
            form: table.optional("form", "a table of texts")?,
        })
    }
}

impl Find {
    fn read(mut table: Table) -> Result<Self, Unsuitable> {
        let pages = match table.optional("pages", "a table")? {
            Some(pages) => Some(Pages::read(Table::read(&table.path("pages"), pages)?)?),
            None => None,
        };
        let find = Self {
            request: Request::read(&mut table)?,
            found: table.optional("found", STATUSES)?.unwrap_or_else(ok),
            items: table.required("items", POINTER)?,
            reference: table.required("reference", POINTER)?,
            only: table
                .optional("only", "a table of JSON pointers and what stands there")?
                .unwrap_or_default(),
            pages,
        };
        table.finish()?;
        Ok(find)
    }
}

impl Pages {
    fn read(mut table: Table) -> Result<Self, Unsuitable> {
        let pages = Self {
            next: table.required("next", POINTER)?,
            parameter: table.required("parameter", "the name of a parameter")?,
        };
        table.finish()?;
        Ok(pages)
    }
}

impl Create {
    fn read(mut table: Table) -> Result<Self, Unsuitable> {
        let create = Self {
            request: Request::read(&mut table)?,
            made: table.optional("made", STATUSES)?.unwrap_or_else(made),
            reference: table.required("reference", POINTER)?,
            secret: table.required("secret", POINTER)?,
            idempotency_header: table.optional("idempotency_header", "the name of a header")?,
        };
        table.finish()?;
        Ok(create)
    }
}

impl Verify {
    fn read(mut table: Table) -> Result<Self, Unsuitable> {
        let verify = Self {
            request: Request::read(&mut table)?,
            works: table.optional("works", STATUSES)?.unwrap_or_else(ok),
            dead: table
                .optional("dead", STATUSES)?
                .unwrap_or_else(unauthorized),
        };
        table.finish()?;
        Ok(verify)
    }
}

impl Revoke {
    fn read(mut table: Table) -> Result<Self, Unsuitable> {
        let revoke = Self {
            request: Request::read(&mut table)?,
            ended: table.optional("ended", STATUSES)?.unwrap_or_else(ended),
        };
        table.finish()?;
        Ok(revoke)
    }
}
