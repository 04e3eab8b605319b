//! Text as data: what is read, what becomes of it, and what is refused with which words.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use traind_training::{DataError, DataSet, DataSpec, JobSpec, Tokenizer};

use crate::fixtures::gzip;

fn spec(data: &str) -> DataSpec {
    JobSpec::parse(&format!("name = \"n\"\nsteps = 1\nmodel = \"mlp\"\n[data]\n{data}\n")).unwrap().data
}

/// A file, and the job's data that name it, with more keys.
fn file(kind: &str, name: &str, bytes: &[u8], more: &str) -> (TempDir, PathBuf, DataSpec) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    let spec = spec(&format!("kind = {kind:?}\npath = {path:?}\n{more}"));
    (directory, path, spec)
}

/// What is refused, in words, the file's path left out.
fn refused(kind: &str, name: &str, bytes: &[u8], more: &str) -> String {
    let (_directory, path, spec) = file(kind, name, bytes, more);
    words(&DataSet::open(&spec).err().expect("it is refused"), &path)
}

fn words(error: &DataError, path: &Path) -> String {
    error.to_string().replace(&path.display().to_string(), "FILE")
}

/// Enough text for a small vocabulary, and its sequences.
fn text() -> String {
    (0..600).map(|line| format!("The {line}th line says that {} is {}.\n", line * 7, line * line)).collect()
}

const SMALL: &str = "vocabulary = 300\nsequence_tokens = 16";

#[test]
fn a_text_is_split_at_a_line_and_its_tokens_give_it_back() {
    let text = text();
    let (_directory, _, spec) = file("text", "x.txt", text.as_bytes(), &format!("{SMALL}\nheld_out = 0.2"));
    let data = DataSet::open(&spec).unwrap();
    assert_eq!((data.classes(), data.image_shape()), (300, [1, 1, 16]));
    let (training, held_out) = data.token_streams().unwrap();
    let tokenizer = data.tokenizer().unwrap();
    let (before, after) = (tokenizer.decode(training).unwrap(), tokenizer.decode(held_out).unwrap());
    assert!(before.ends_with(".\n") && after.starts_with("The "), "cut at a line");
    assert_eq!(before.clone() + &after, text);
    let share = after.len() as f64 / text.len() as f64;
    assert!((0.19..0.201).contains(&share), "{share}");
    assert_eq!(training.last(), Some(&tokenizer.end_of_text().unwrap()));
    let sequences = |tokens: &[u32]| (tokens.len() as u32 - 1) / 16;
    let (first, count) = (sequences(training), sequences(held_out));
    assert!(data.training().into_iter().eq(0..first));
    assert!(data.held_out().into_iter().eq(first..first + count));
}

#[test]
fn the_digest_depends_on_text_split_and_vocabulary_not_on_name_or_compression() {
    let text = text();
    let digest = |name: &str, bytes: &[u8], more: &str| {
        let (_directory, _, spec) = file("text", name, bytes, more);
        DataSet::open(&spec).unwrap().digest()
    };
    let one = digest("x.txt", text.as_bytes(), SMALL);
    assert_eq!(digest("y.gz", &gzip(text.as_bytes()), SMALL), one);
    assert_eq!(digest("x.txt", format!("\u{feff}{text}").as_bytes(), SMALL), one);
    for (bytes, more) in [
        (format!("{text}.").into_bytes(), SMALL.to_owned()),
        (text.clone().into_bytes(), SMALL.replace("300", "301")),
        (text.clone().into_bytes(), SMALL.replace("16", "17")),
        (text.clone().into_bytes(), format!("{SMALL}\nheld_out = 0.2")),
    ] {
        assert_ne!(digest("x.txt", &bytes, &more), one, "{more}");
    }
}

/// Each opening trains anew: the data sets of the others are gone.
#[test]
fn a_trained_tokenizer_is_the_same_bytes_every_time_and_the_same_once_read_back() {
    let text = text();
    let (directory, _, first) = file("text", "x.txt", text.as_bytes(), SMALL);
    let trained: Vec<Vec<u8>> =
        (0..4).map(|_| DataSet::open(&first).unwrap().tokenizer().unwrap().json().to_vec()).collect();
    assert!(trained.iter().all(|json| *json == trained[0]));
    let path = directory.path().join("tokenizer.json");
    fs::write(&path, &trained[0]).unwrap();
    let read = Tokenizer::open(&path, None).unwrap();
    let own = DataSet::open(&first).unwrap();
    let sentence = "The 12th line says naïve things: 你好.\n\n  Twice.";
    let tokens = read.encode(sentence).unwrap();
    assert_eq!(own.tokenizer().unwrap().encode(sentence).unwrap(), tokens);
    assert_eq!(read.decode(&tokens).unwrap(), sentence);
    assert_eq!((read.vocabulary(), read.end_of_text()), (300, Some(0)));

    // A job that names the file has the same samples, though not the split of another tokenizer.
    let (_directory, _, second) =
        file("text", "x.txt", text.as_bytes(), &format!("sequence_tokens = 16\ntokenizer = {path:?}"));
    let second = DataSet::open(&second).unwrap();
    assert_eq!(second.digest().len(), 32);
    assert_eq!(second.token_streams().unwrap(), own.token_streams().unwrap());
}

#[test]
fn text_that_is_empty_short_or_not_utf8_is_refused_with_file_and_place() {
    for empty in [&b""[..], b" \n\t\n", b"\xef\xbb\xbf"] {
        assert_eq!(refused("text", "x.txt", empty, SMALL), "FILE holds no text");
    }
    let advice = "`iconv -f LATIN1 -t UTF-8` converts a file of Western Europe";
    let wrong = b"one\ntwo caf\xe9\nthree\n";
    assert_eq!(
        refused("text", "x.txt", wrong, SMALL),
        format!("FILE, byte 11 (line 2): not UTF-8; {advice}")
    );
    assert_eq!(
        refused("text", "x.txt.gz", &gzip(wrong), SMALL),
        format!("FILE, byte 11 (line 2): not UTF-8; {advice}")
    );
    assert_eq!(
        refused("text", "x.txt", b"Too short for that.\nAnother line.\n", "vocabulary = 4000"),
        "FILE gives a vocabulary of 278 tokens, the job asks for 4000: set data.vocabulary to 278"
    );
    let long = format!("{SMALL}\nheld_out = 0.01").replace("16", "2048");
    let short = refused("text", "x.txt", text().as_bytes(), &long);
    assert!(
        short.starts_with("FILE gives ")
            && short.ends_with(
                " tokens to hold out, one sequence needs 2049: give more text, or set data.sequence_tokens lower"
            ),
        "{short}"
    );
    let missing = DataSet::open(&spec("kind = \"text\"\npath = \"/no/such.txt\"")).err().unwrap();
    assert_eq!(missing.to_string(), "cannot read /no/such.txt");
    let directory = DataSet::open(&spec("kind = \"text\"\npath = \"/tmp\"")).err().unwrap();
    assert_eq!(directory.to_string(), "/tmp is no regular file");
}

#[test]
fn jsonl_is_read_by_its_field_and_refused_by_its_line() {
    let line =
        |index: usize| format!("{{\"id\": {index}, \"text\": \"Document {index} says {}.\"}}\n", index * 31);
    let lines: String = (0..400).map(line).collect();
    let (_directory, _, spec) = file("jsonl", "x.jsonl", lines.as_bytes(), SMALL);
    let data = DataSet::open(&spec).unwrap();
    let (training, held_out) = data.token_streams().unwrap();
    let tokenizer = data.tokenizer().unwrap();
    let ends = |tokens: &[u32]| tokens.iter().filter(|token| **token == 0).count();
    assert_eq!((ends(training), ends(held_out)), (360, 40), "the last tenth of the documents");
    let first: Vec<u32> = held_out.iter().copied().take_while(|token| *token != 0).collect();
    assert_eq!(tokenizer.decode(&first).unwrap(), "Document 360 says 11160.");

    let good = "{\"text\": \"a\"}\n\n";
    for (third, more, expected) in [
        (
            "{\"body\": \"a\", \"id\": 1}",
            "",
            "FILE, line 3: the fields are \"body\", \"id\", but the job's data.field is \"text\"",
        ),
        ("{}", "", "FILE, line 3: the fields are none, but the job's data.field is \"text\""),
        ("[1]", "", "FILE, line 3: no object, but the job's data.field is \"text\""),
        (
            "{\"text\": 3}",
            "",
            "FILE, line 3: the field \"text\" is no string, but the job's data.field is \"text\"",
        ),
        ("{\"text\": \"a", "", "FILE, line 3: not JSON"),
    ] {
        assert_eq!(refused("jsonl", "x.jsonl", format!("{good}{third}\n").as_bytes(), more), expected);
    }
    let field = refused("jsonl", "x.jsonl", good.as_bytes(), "field = \"body\"");
    assert_eq!(field, "FILE, line 1: the fields are \"text\", but the job's data.field is \"body\"");
    assert!(
        refused("jsonl", "x.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"\xff\"}", "")
            .starts_with("FILE, byte 24 (line 2): not UTF-8")
    );
    for empty in [&b""[..], b"\n\n", b"{\"text\": \" \"}\n"] {
        assert_eq!(refused("jsonl", "x.jsonl", empty, ""), "FILE holds no text");
    }
}

#[test]
fn token_files_are_split_and_checked_against_the_vocabulary() {
    let tokens: Vec<u8> = (0..1_000u16).flat_map(|token| (token % 97).to_le_bytes()).collect();
    let (_directory, _, spec) = file("tokens", "x.bin", &tokens, "sequence_tokens = 16\nheld_out = 0.25");
    let data = DataSet::open(&spec).unwrap();
    let (training, held_out) = data.token_streams().unwrap();
    assert_eq!((training.len(), held_out.len(), data.classes()), (750, 250, 97));
    assert_eq!(held_out[..3], [71, 72, 73]);
    assert!(data.tokenizer().is_none());

    let small = "sequence_tokens = 16\nheld_out = 0.25\nvocabulary = ";
    assert_eq!(
        refused("tokens", "x.bin", &tokens, &format!("{small}96")),
        "FILE, token 96: 96, but the vocabulary has 96 tokens"
    );
    let mut late = tokens.clone();
    late[1_998..].copy_from_slice(&500u16.to_le_bytes());
    assert_eq!(
        refused("tokens", "x.bin", &late, &format!("{small}97")),
        "FILE, token 999: 500, but the vocabulary has 97 tokens"
    );
    assert_eq!(
        refused("tokens", "x.bin", &tokens[..1_999], ""),
        "FILE is no file of tokens: 1999 bytes are no whole number of tokens of 2 bytes"
    );
    assert_eq!(refused("tokens", "x.bin", b"", ""), "FILE holds no text");
}

#[test]
fn what_is_no_tokenizer_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokenizer.json");
    for bytes in [&b""[..], b"{}", b"\x80\x02pickle", b"{\"model\": {\"type\": \"BPE\", \"vocab\": 3}}"] {
        fs::write(&path, bytes).unwrap();
        let error = Tokenizer::open(&path, None).err().unwrap();
        assert_eq!(
            words(&error, &path),
            "FILE is no tokenizer that this program reads (a tokenizer.json, as Hugging Face has it)"
        );
    }
    let (_data, _, own) = file("text", "x.txt", text().as_bytes(), SMALL);
    fs::write(&path, DataSet::open(&own).unwrap().tokenizer().unwrap().json()).unwrap();
    let error = Tokenizer::open(&path, Some("</s>")).err().unwrap();
    assert_eq!(
        words(&error, &path),
        "FILE has no end-of-text token among \"</s>\": name its token with data.end_of_text, so that documents do \
         not run into each other"
    );
}
