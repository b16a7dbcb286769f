//! Reading JSON strictly: duplicate names are an error.
