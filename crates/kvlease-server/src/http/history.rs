//! The history of the daemon's figures, for programs.

use kvlease_api::{HistoryQuery, HistoryReply, JSON, Total};

use super::{
    apart::apart,
    page::PAGE_MEMORY,
    reply::{self, Answer, Refusal},
};
use crate::{
    connection_memory::Purpose,
    context::Context,
    history::{SERIES, Sample, Series},
};

pub(super) async fn history(context: &Context, query: Option<&str>) -> Answer {
    let query = HistoryQuery::parse(query).map_err(Refusal::invalid)?;
    let held = reply::memory(context, Purpose::Admin, PAGE_MEMORY).await?;
    let bytes = apart(context, || reply::json_bytes(&history_reply(context, query))).await?;
    Ok(reply::accounted(JSON, bytes, held))
}

fn history_reply(context: &Context, query: HistoryQuery) -> HistoryReply {
    let samples = context.history.samples(query.span, query.since);
    let series = SERIES.iter().enumerate();
    HistoryReply {
        interval_s: query.span.interval_s(),
        times: samples.iter().map(|sample| sample.at).collect(),
        series: series.map(|(place, series)| values(&samples, place, series)).collect(),
    }
}

fn values(samples: &[Sample], place: usize, series: &Series) -> (String, Vec<Option<Total>>) {
    let total = |value: f64| match series.is_seconds() {
        true => Total::Seconds(value),
        false => Total::Count(value as u64),
    };
    let values = samples.iter().map(|sample| sample.get(place).map(total));
    (series.name.to_owned(), values.collect())
}
