//! A neighbour whose client finds every object corrupt.

use crate::{
    process::Neighbour,
    users,
    victim::{BUCKET, CAPACITY, GOOD, Victim, good},
};

#[test]
fn good_objects_stay_whatever_a_client_says_of_them() {
    if !users::are_two("corruption::good_objects_stay_whatever_a_client_says_of_them") {
        return;
    }
    let mut victim = Victim::new(&[]);
    let capacity = CAPACITY.to_string();
    let keys: Vec<String> = (0..GOOD).map(good).collect();
    let mut further = vec!["--capacity", &capacity, "--bucket", BUCKET];
    further.extend(keys.iter().map(String::as_str));
    let neighbour = Neighbour::attack(victim.attack("corruption", &further));
    victim.assert_good();
    victim.assert_serves();
    neighbour.end();
    victim.assert_starts_again();
}
