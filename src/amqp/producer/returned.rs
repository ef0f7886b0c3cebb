//! Messages of a batch that came back: the client may have put one into the result of another.

use std::collections::HashMap;

use lapin::Confirmation;
use lapin::message::BasicReturnMessage;
use lapin::types::ShortString;

/// Exchange and routing key of a message that the broker may return.
pub(super) type Address = Option<(ShortString, ShortString)>;

/// Gives each returned message to its own result.
pub(super) fn give_back(results: &mut [lapin::Result<Confirmation>], addresses: &[Address]) {
    let (mut strays, mut left) = (Vec::new(), Vec::new());
    for (index, (result, address)) in results.iter_mut().zip(addresses).enumerate() {
        let is_stray = |message: &mut BasicReturnMessage| !is_for(message, address);
        if let Some(stray) = returned(result).and_then(|returned| returned.take_if(is_stray)) {
            strays.push(stray);
            left.push(index);
        }
    }
    if strays.is_empty() {
        return;
    }
    let mut free = HashMap::<_, Vec<_>>::new();
    for (index, (result, address)) in results.iter().zip(addresses).enumerate().rev() {
        if let (Ok(Confirmation::Ack(None)), Some((exchange, routing_key))) = (result, address) {
            let address = (exchange.as_str(), routing_key.as_str());
            free.entry(address).or_default().push(index);
        }
    }
    let homes = strays.iter().map(|stray| {
        let address = (stray.exchange.as_str(), stray.routing_key.as_str());
        free.get_mut(&address).and_then(Vec::pop)
    });
    let homes: Vec<_> = homes.collect();
    let mut homeless = Vec::new();
    for (stray, home) in strays.into_iter().zip(homes) {
        match home {
            Some(own) => put(results, own, stray),
            None => homeless.push(stray),
        }
    }
    // One that was not published with these comes to where one has left.
    let mut places = left.into_iter();
    for stray in homeless {
        let is_free = |at: &usize| matches!(results.get(*at), Some(Ok(confirmation)) if !has_returned(confirmation));
        if let Some(index) = places.find(is_free) {
            put(results, index, stray);
        }
    }
}

const fn has_returned(confirmation: &Confirmation) -> bool {
    matches!(
        confirmation,
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_))
    )
}

fn put(results: &mut [lapin::Result<Confirmation>], index: usize, message: BasicReturnMessage) {
    if let Some(returned) = results.get_mut(index).and_then(returned) {
        *returned = Some(message);
    }
}

const fn returned(
    result: &mut lapin::Result<Confirmation>,
) -> Option<&mut Option<BasicReturnMessage>> {
    match result {
        Ok(Confirmation::Ack(returned) | Confirmation::Nack(returned)) => Some(returned),
        _ => None,
    }
}

fn is_for(message: &BasicReturnMessage, address: &Address) -> bool {
    address.as_ref().is_some_and(|(exchange, routing_key)| {
        (exchange, routing_key) == (&message.exchange, &message.routing_key)
    })
}

#[cfg(test)]
mod tests {
    use lapin::message::Delivery;

    use super::*;

    fn of(key: &str) -> Confirmation {
        Confirmation::Ack(Some(BasicReturnMessage {
            delivery: Delivery::mock(1, "".into(), key.into(), false, Vec::new()),
            reply_code: 312,
            reply_text: "NO_ROUTE".into(),
        }))
    }

    #[test]
    fn no_returned_message_is_lost_whoever_published_it() {
        // What the client has put into the results of messages that were published as 0, 1 and so on.
        let rows: [[&[_]; 2]; 6] = [
            [&[Some("1"), Some("0")], &[Some("0"), Some("1")]],
            [&[Some("other"), Some("0")], &[Some("0"), Some("other")]],
            [&[Some("1"), Some("other")], &[Some("other"), Some("1")]],
            [&[Some("other"), None], &[Some("other"), None]],
            [
                &[None, Some("other"), Some("0")],
                &[Some("0"), Some("other"), None],
            ],
            [
                &[Some("a"), Some("b"), Some("0")],
                &[Some("0"), Some("a"), Some("b")],
            ],
        ];

        for [given, expected] in rows {
            let results = given
                .iter()
                .map(|key| Ok(key.map_or(Confirmation::Ack(None), of)));
            let mut results: Vec<_> = results.collect();
            let keys = (0..given.len()).map(|number| number.to_string());
            let addresses: Vec<_> = keys.map(|key| Some(("".into(), key.into()))).collect();

            give_back(&mut results, &addresses);

            let mut results = results.into_iter();
            let expected = expected
                .iter()
                .map(|key| Ok(key.map_or(Confirmation::Ack(None), of)));
            assert!(results.by_ref().eq(expected), "{given:?}");
        }
    }
}
