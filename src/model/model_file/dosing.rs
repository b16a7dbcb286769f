//! `[doses]`: which states receive doses, and how they enter.

use super::super::table::Table;
use super::ModelError;
use super::read::Reader;
use crate::engine::{Route, Routes};
use crate::lang::{Equations, NodeId, Unit, parser, suggest};
use toml::Spanned;

impl<'a> Reader<'a> {
    pub(super) fn doses(
        &self,
        mut table: Table<'_, 'a>,
        equations: &mut Equations,
        time: &Unit,
    ) -> Result<Routes, ModelError> {
        let state = table.required_text("state", "the name of the state that receives doses")?;
        let first = self.state(&state, equations)?;
        let mut routes = vec![self.route(&mut table, first, equations, time)?];
        if let Some(others) = table.table("to")? {
            for entry in others.entries() {
                let name = Spanned::new(entry.at..entry.at, entry.key.to_owned());
                let state = self.state(&name, equations)?;
                if routes.iter().any(|route| route.state == state) {
                    return Err(self
                        .source
                        .error(entry.at, format!("`{}` receives doses already", entry.key)));
                }
                let mut inner = self.inner(&entry, "doses to")?;
                routes.push(self.route(&mut inner, state, equations, time)?);
                inner.finish()?;
            }
        }
        table.finish()?;
        Ok(Routes::new(routes, equations.states.len()))
    }

    fn state(&self, name: &Spanned<String>, equations: &Equations) -> Result<usize, ModelError> {
        let states = equations.states.iter().map(|state| state.name.as_str());
        states.clone().position(|state| state == name.get_ref()).ok_or_else(|| {
            self.source.error_with(
                name.span().start,
                format!("there is no state `{}`", name.get_ref()),
                suggest::hint(name.get_ref(), states),
            )
        })
    }

    fn route(
        &self,
        table: &mut Table<'_, 'a>,
        state: usize,
        equations: &mut Equations,
        time: &Unit,
    ) -> Result<Route, ModelError> {
        let unit = equations
            .states
            .get(state)
            .map_or(Unit::ONE, |state| state.unit.clone());
        let bioavailability = self.enters(table, "bioavailability", equations, None)?;
        let lag = self.enters(table, "lag", equations, Some(time))?;
        let duration = self.enters(table, "duration", equations, Some(time))?;
        let rate = self.enters(table, "rate", equations, Some(&unit.over(time)))?;
        Ok(Route {
            state,
            bioavailability,
            lag,
            duration,
            rate,
        })
    }

    /// A formula of parameters, inputs and the time of the dose. A plain number has the unit that is wanted.
    fn enters(
        &self,
        table: &mut Table<'_, 'a>,
        key: &'static str,
        equations: &mut Equations,
        wanted: Option<&Unit>,
    ) -> Result<Option<NodeId>, ModelError> {
        let Some(value) = table.get(key) else { return Ok(None) };
        let text = self.formula_or_number(value)?;
        let expr = parser::formula(text.get_ref()).map_err(|error| self.inside(&text, &error))?;
        let value = equations.formula(&expr).map_err(|error| self.inside(&text, &error))?;
        if let (Some(wanted), Some(found)) = (wanted, &value.unit)
            && !wanted.same(found)
            && !found.is_one()
        {
            return Err(self.source.error(
                text.span().start,
                format!("`{key}` has the wrong unit: {}", wanted.difference(found)),
            ));
        }
        if equations.depends_on_state(value.node) {
            return Err(self.source.error_with(
                text.span().start,
                format!("`{key}` depends on a state"),
                "it may be made of parameters, inputs, covariates and `t`, the time of the dose",
            ));
        }
        Ok(Some(value.node))
    }
}
