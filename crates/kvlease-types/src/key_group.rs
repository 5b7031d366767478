//! Groups of keys: the objects of one chunk of a prompt that are useless one without the other.
//!
//! Engines cut the KV cache of a chunk into several objects: one for each rank of tensor and pipeline
//! parallelism, for each KV group of the model, or for each layer. Their keys differ in the fields
//! that name the part, and in nothing else. This module alone knows those keys:
//!
//! | maker of the key | form | what names the part |
//! |---|---|---|
//! | LMCache in an engine's process | `model@world@worker@hash@dtype[@tag%value…]` | `worker` |
//! | the same, layer by layer | `model@world@worker@hash@dtype@layer[@tag%value…]` | `worker`, `layer` |
//! | LMCache's server | `model@rank@group@hash[@salt]` | the last six digits of `rank`, `group` |
//! | vLLM's tier | `vllm@model@digest@hash` | the last eight digits: the KV group |
//! | SGLang's HiCache | `sglang@model@engine-digest@hash` | `digest` |
//!
//! `rank` has eight hexadecimal digits, of which the first two are the number of ranks. A key of
//! another form is a group of its own, and so is one of an engine with a single rank.
//!
//! Which block of an engine a key names is another question, which the publisher of KV events asks.

/// The most ranks that an engine has whose keys are grouped.
pub const RANKS_MAX: u32 = 1024;

/// Hexadecimal digits of the ranks in a key of LMCache's server, and those of them that all members share.
const SERVER_RANK_LEN: usize = 8;
const SERVER_WORLD_LEN: usize = 2;

/// Hexadecimal digits of the digests in the keys of kvlease's own backends.
const DIGEST_LEN: usize = 16;

/// Hexadecimal digits of the KV group at the end of a key of vLLM.
const VLLM_GROUP_LEN: usize = 8;

/// Common part of the keys of one group. See the module.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KeyGroup<'k> {
    /// Texts that all keys of the group have, in their order.
    common: [&'k str; 3],
}

impl<'k> KeyGroup<'k> {
    /// The group that a key belongs to; `None` if it is a group of its own.
    pub fn of(key: &'k str) -> Option<Self> {
        let (model, rest) = cut(key)?;
        let own = match model {
            "vllm" => of_vllm(key, rest),
            "sglang" => of_sglang(key, rest),
            _ => None,
        };
        own.or_else(|| of_server(key, model, rest)).or_else(|| of_engine(key, model, rest))
    }

    /// Texts that all keys of the group have, in their order, and that no other group has.
    pub const fn common(&self) -> [&'k str; 3] {
        self.common
    }
}

/// The keys of the same part on every rank of the engine, for a key of LMCache in an engine's process.
/// `None` for any other key, and for that of an engine with a single rank.
pub fn keys_of_ranks(key: &str) -> Option<impl Iterator<Item = String>> {
    let (model, rest) = cut(key)?;
    let EngineKey { world, before, behind, .. } = EngineKey::parse(key, model, rest)?;
    (world > 1).then(|| (0..world).map(move |worker| format!("{before}{worker}{behind}")))
}

/// A key of LMCache in an engine's process.
pub(crate) struct EngineKey<'k> {
    world: u32,
    /// With the `@` in front of the worker.
    before: &'k str,
    /// With the `@` behind it.
    behind: &'k str,
    /// Length of hash and data type at the beginning of `behind`.
    chunk_len: usize,
    layer: Option<&'k str>,
}

impl<'k> EngineKey<'k> {
    pub(crate) fn parse(key: &'k str, model: &str, rest: &'k str) -> Option<Self> {
        let (world_text, fields) = cut(rest)?;
        let (worker_text, fields) = cut(fields)?;
        let (hash, fields) = cut(fields)?;
        let (dtype, more) = cut(fields).unwrap_or((fields, ""));
        let world = number(world_text).filter(|world| (1..=RANKS_MAX).contains(world))?;
        number(worker_text).filter(|worker| *worker < world)?;
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        // A hash is a number of Python, which may be negative, or bytes.
        let digits = hash.strip_prefix('-').unwrap_or(hash);
        let known = !model.is_empty() && is_hex(digits) && !dtype.is_empty();
        if !known || !dtype.bytes().all(is_word) {
            return None;
        }
        let layer = cut(more).map_or(more, |(layer, _)| layer);
        let layer = Some(layer).filter(|layer| number(layer).is_some());
        let before_len = model.len() + world_text.len() + "@@".len();
        let behind = &key[before_len + worker_text.len()..];
        let chunk_len = hash.len() + dtype.len() + "@@".len();
        Some(Self { world, before: &key[..before_len], behind, chunk_len, layer })
    }
}

fn of_engine<'k>(key: &'k str, model: &str, rest: &'k str) -> Option<KeyGroup<'k>> {
    let EngineKey { world, before, behind, chunk_len, layer } = EngineKey::parse(key, model, rest)?;
    if world == 1 && layer.is_none() {
        return None;
    }
    let (chunk, more) = behind.split_at(chunk_len);
    let tags = &more[layer.map_or(0, |layer| layer.len() + "@".len())..];
    Some(KeyGroup { common: [before, chunk, tags] })
}

fn of_server<'k>(key: &'k str, model: &str, rest: &'k str) -> Option<KeyGroup<'k>> {
    let ServerKey { world, chunk, .. } = ServerKey::parse(key, model, rest)?;
    Some(KeyGroup { common: [world, chunk, ""] })
}

/// A key of LMCache's server.
pub(crate) struct ServerKey<'k> {
    /// Up to the number of ranks.
    world: &'k str,
    /// The hash, with the salt if there is one.
    chunk: &'k str,
    /// Text behind the hash; empty if there is none.
    pub(crate) salt: &'k str,
}

impl<'k> ServerKey<'k> {
    pub(crate) fn parse(key: &'k str, model: &str, rest: &'k str) -> Option<Self> {
        let (rank, rest) = cut(rest)?;
        if model.is_empty() || rank.len() != SERVER_RANK_LEN || !is_hex(rank) {
            return None;
        }
        let (group, chunk) = cut(rest)?;
        let (hash, salt) = cut(chunk).unwrap_or((chunk, ""));
        if group.len() > VLLM_GROUP_LEN || !is_hex(group) || !is_hex(hash) || salt.contains('@') {
            return None;
        }
        let world = &key[..model.len() + "@".len() + SERVER_WORLD_LEN];
        Some(Self { world, chunk, salt })
    }
}

fn of_vllm<'k>(key: &'k str, rest: &str) -> Option<KeyGroup<'k>> {
    let mut fields = rest.split('@');
    let (_model, digest, hash) = (fields.next()?, fields.next()?, fields.next()?);
    let known = is_digest(digest) && hash.len() > VLLM_GROUP_LEN && is_hex(hash);
    (known && fields.next().is_none())
        .then(|| KeyGroup { common: [&key[..key.len() - VLLM_GROUP_LEN], "", ""] })
}

fn of_sglang<'k>(key: &'k str, rest: &'k str) -> Option<KeyGroup<'k>> {
    let (model, rest) = cut(rest)?;
    let (digests, page) = cut(rest)?;
    let (engine, part) = digests.split_once('-')?;
    if !is_digest(engine) || !is_digest(part) || page.is_empty() {
        return None;
    }
    let common = "sglang@".len() + model.len() + "@".len() + DIGEST_LEN;
    Some(KeyGroup { common: [&key[..common], page, ""] })
}

/// The texts before and behind the first `@`. Looks at eight bytes at a time, since every object that is stored has its key
/// cut into fields, most of which are short or a hash.
fn cut(text: &str) -> Option<(&str, &str)> {
    const LOWEST: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHEST: u64 = LOWEST << 7;
    let (eights, rest) = text.as_bytes().as_chunks::<8>();
    let in_eight = |eight: &[u8; 8]| {
        // Zero in the place of each `@`; the lowest of the bits that are set tells the first one.
        let others = u64::from_le_bytes(*eight) ^ u64::from_ne_bytes([b'@'; 8]);
        let found = others.wrapping_sub(LOWEST) & !others & HIGHEST;
        (found != 0).then(|| found.trailing_zeros() as usize / 8)
    };
    let mut eights_seen = eights.iter().enumerate();
    let place = eights_seen.find_map(|(number, eight)| Some(number * 8 + in_eight(eight)?));
    let in_rest = || Some(eights.len() * 8 + rest.iter().position(|byte| *byte == b'@')?);
    let place = place.or_else(in_rest)?;
    Some((&text[..place], &text[place + 1..]))
}

/// A decimal number as it is written in a key: no sign, no zero in front.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let first = text.bytes().next()?;
    if plain && (first != b'0' || text.len() == 1) { text.parse().ok() } else { None }
}

fn is_digest(text: &str) -> bool {
    text.len() == DIGEST_LEN && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() | (b'a'..=b'f').contains(&byte);
    // A hash is long, and nearly always one: looking at all of its bytes together is quicker than stopping
    // at the first that is none.
    !text.is_empty() && text.bytes().fold(true, |hex, byte| hex & is_digit(byte))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Keys that LMCache's own classes and kvlease's own backends made: a group, a tab, a key. The
    /// contract suite compares the file with the classes.
    const MADE: &str = include_str!("../tests/keys_of_engines.txt");

    fn made() -> impl Iterator<Item = (&'static str, &'static str)> {
        let lines = MADE.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split_once('\t').expect("a line has a group and a key"))
    }

    #[test]
    fn the_keys_that_engines_make_are_grouped_by_chunk() {
        let mut groups: BTreeMap<&str, BTreeSet<Option<[&str; 3]>>> = BTreeMap::new();
        for (group, key) in made() {
            let found = KeyGroup::of(key).map(|group| group.common());
            assert_eq!(found.is_none(), group == "-", "{key}");
            groups.entry(group).or_default().insert(found);
        }
        assert!(groups.len() > 10, "{} groups", groups.len());
        assert!(groups.values().all(|found| found.len() == 1), "{groups:#?}");
        let apart: BTreeSet<_> = groups.values().flatten().collect();
        assert_eq!(apart.len(), groups.len(), "no two groups are taken for one");
    }

    #[test]
    fn the_keys_of_all_ranks_are_those_that_the_ranks_make() {
        let mut listed = 0;
        for (_, key) in made() {
            let Some(keys) = keys_of_ranks(key) else { continue };
            let keys: Vec<String> = keys.collect();
            assert!(keys.iter().any(|other| other == key), "{key} is among {keys:?}");
            let there: BTreeSet<&str> = made().map(|(_, key)| key).collect();
            assert!(keys.iter().all(|key| there.contains(key.as_str())), "{keys:?}");
            listed += 1;
        }
        assert!(listed >= 8, "{listed} keys");
        assert!(keys_of_ranks("m@1@0@ab@half").is_none());
    }

    #[test]
    fn other_keys_are_groups_of_their_own() {
        for key in [
            "",
            "@",
            "key",
            "some/key",
            "@2@0@ab@half",
            "m@2@0@ab",
            "m@2@2@ab@half",
            "m@0@0@ab@half",
            "m@1025@0@ab@half",
            "m@+2@0@ab@half",
            "m@02@0@ab@half",
            "m@2@00@ab@half",
            "m@2@0@AB@half",
            "m@2@0@@half",
            "m@2@0@ab@",
            "m@2@0@ab@ha lf",
            "m@1@0@ab@half",
            "m@1@0@ab@half@tag%1",
            "m@0200010@0@ab",
            "m@02000100@x@ab",
            "m@02000100@0@",
            "m@02000100@0@ab@salt@more",
            "m@02000100@000000000@ab",
            "@02000100@0@ab",
            "vllm@m@0123456789abcdef@00000000",
            "vllm@m@0123456789abcde@0011223300000000",
            "vllm@m@0123456789abcdef@0011223300000000@x",
            "sglang@m@0123456789abcdef@00",
            "sglang@m@0123456789abcdef-0123456789abcdef@",
            "sglang@m@0123456789abcdef-0123456789abcdeg@00",
        ] {
            assert_eq!(KeyGroup::of(key), None, "{key}");
        }
    }

    #[test]
    fn a_text_is_cut_at_the_first_sign_wherever_it_is() {
        for len in 0..40 {
            let filler = ["x", "A", "?", "\u{7f}", "é"][len % 5];
            let before = filler.repeat(len);
            assert_eq!(cut(&before), None);
            for behind in ["", "@", "x", "@@@@@@@@@", "1234567890123456789"] {
                let text = format!("{before}@{behind}");
                assert_eq!(cut(&text), Some((before.as_str(), behind)), "{text}");
            }
        }
    }

    #[test]
    fn no_text_breaks_the_parser() {
        // Every way to cut a key short, and every field doubled or left out.
        for (_, key) in made() {
            for at in (0..key.len()).filter(|at| key.is_char_boundary(*at)) {
                let _ = (KeyGroup::of(&key[..at]), KeyGroup::of(&key[at..]));
                let _ = keys_of_ranks(&key[at..]).map(Iterator::count);
            }
            let fields: Vec<&str> = key.split('@').collect();
            for left_out in 0..fields.len() {
                let mut fields = fields.clone();
                let field = fields.remove(left_out);
                let _ = KeyGroup::of(&fields.join("@"));
                fields.extend([field, field]);
                let _ = KeyGroup::of(&fields.join("@"));
            }
        }
    }
}
