//! Rows as they come from the server: whole numbers, truth, text and octets. No other type is stored.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::DataRowBody;
use rusqlite::types::ValueRef;

use super::failure::PostgresError;

/// Object ids of types (the server's catalogue `pg_type`).
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;

/// What a column is called, and the object id of its type.
pub(in crate::sql) struct Column {
    pub(super) name: String,
    pub(super) of: u32,
}

/// One row.
pub(in crate::sql) struct PostgresRow {
    columns: Arc<[Column]>,
    octets: Bytes,
    ranges: Vec<Option<Range<usize>>>,
}

impl PostgresRow {
    pub(super) fn new(columns: Arc<[Column]>, body: &DataRowBody) -> Result<Self, PostgresError> {
        let ranges = body.ranges().collect()?;
        Ok(Self { columns, octets: body.buffer_bytes().clone(), ranges })
    }

    /// Where the column of that name stands.
    pub(in crate::sql) fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The value at `place`; `None` if there is none such, or of a type that is not stored.
    pub(in crate::sql) fn value(&self, place: usize) -> Option<ValueRef<'_>> {
        let Some(range) = self.ranges.get(place)? else { return Some(ValueRef::Null) };
        let octets = self.octets.get(range.clone())?;
        Some(match self.columns.get(place)?.of {
            INT8 => ValueRef::Integer(i64::from_be_bytes(octets.try_into().ok()?)),
            INT4 => ValueRef::Integer(i32::from_be_bytes(octets.try_into().ok()?).into()),
            INT2 => ValueRef::Integer(i16::from_be_bytes(octets.try_into().ok()?).into()),
            BOOL => ValueRef::Integer((octets != [0]).into()),
            BYTEA => ValueRef::Blob(octets),
            _ => ValueRef::Text(octets),
        })
    }
}
