//! Jumeau: clinical decision support from patient digital twins.
