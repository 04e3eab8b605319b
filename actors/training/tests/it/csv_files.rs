//! CSV tables: what is read, and what is refused with which words.

use std::path::Path;

use traind_training::{DataError, DataSet, DataSpec, Session};

use crate::fixtures::{csv, gzip, job, refused, samples};

fn spec_of(path: &Path) -> DataSpec {
    job("model = \"mlp\"", &format!("[data]\nkind = \"csv\"\npath = {path:?}\n")).data
}

#[test]
fn a_table_is_read_by_lines() {
    let text = b"1,2,0\n3,4,1\n5,6,0\n7,8,1\n9,-1e1,0\n.5,0,1\n";
    let (_directory, _, spec) = csv("x.csv", text, "scale = 2\nheld_out_every = 3");
    let data = DataSet::open(&spec).unwrap();
    assert_eq!((data.image_shape(), data.classes()), ([1, 1, 2], 2));
    assert_eq!((data.training(), data.held_out()), (vec![0, 1, 3, 4], vec![2, 5]));
    let image = |one: f32, other: f32| vec![one, other];
    assert_eq!(
        samples(&data),
        [
            (image(0.5, 1.0), 0),
            (image(1.5, 2.0), 1),
            (image(3.5, 4.0), 1),
            (image(4.5, -5.0), 0),
            (image(2.5, 3.0), 0),
            (image(0.25, 0.0), 1),
        ]
    );
}

#[test]
fn the_label_may_stand_first_last_or_under_a_name() {
    let last = b"1,2,0\n3,4,1\n5,6,0\n7,8,1\n9,10,0\n";
    let first = b"0,1,2\n1,3,4\n0.0,5,6\n1,7,8\n0,9,10\n";
    let named = b"\xEF\xBB\xBFa,\"class\" , b \r\n1,0,2\r\n\r\n3,1,4\r\n5,0,6\r\n7,1,8\r\n9,0,10";
    let (_last, _, last) = csv("x.csv", last, "");
    let expected = DataSet::open(&last).unwrap();
    for (name, text, keys) in [
        ("x.csv", first.to_vec(), "label = \"first\""),
        ("x.csv", named.to_vec(), "label = \"class\"\nheader = true"),
        ("x.csv.gz", gzip(named), "label = \"class\"\nheader = true"),
    ] {
        let (_directory, _, spec) = csv(name, &text, keys);
        let data = DataSet::open(&spec).unwrap();
        assert_eq!(samples(&data), samples(&expected), "{keys}");
        assert_eq!(data.digest(), expected.digest(), "{keys}");
    }
    for (text, keys) in [
        (&b"1,2,0\n3,4,1\n5,6,0\n7,8,1\n9,10,1\n"[..], ""),
        (b"1,2,0\n3,4,1\n5,6,0\n7,8,1\n9,11,0\n", ""),
        (b"1,2,0\n3,4,1\n5,6,0\n7,8,1\n9,10,0\n", "scale = 2"),
        (b"1,2,0\n3,4,1\n5,6,0\n7,8,1\n9,10,0\n", "held_out_every = 4"),
        (b"1,2,0\n3,4,1\n5,6,0\n7,8,1\n9,10,0\n", "shape = [2, 1, 1]"),
    ] {
        let (_directory, _, spec) = csv("x.csv", text, keys);
        assert_ne!(DataSet::open(&spec).unwrap().digest(), expected.digest(), "{keys}");
    }
}

#[test]
fn a_shape_makes_images_of_lines() {
    let text = "1,2,3,4,5,6,0\n6,5,4,3,2,1,1\n".repeat(5);
    let (_directory, _, spec) = csv("x.csv", text.as_bytes(), "shape = [3, 1, 2]");
    assert_eq!(DataSet::open(&spec).unwrap().image_shape(), [3, 1, 2]);
    let (_directory, path, spec) = csv("x.csv", text.as_bytes(), "shape = [1, 28, 28]");
    assert_eq!(
        refused(&spec).to_string(),
        format!("{} has 6 columns beside the label, but data.shape = [1, 28, 28] needs 784", path.display())
    );
}

/// File, line and column are named, so that an editor can be sent there.
#[test]
fn a_bad_line_is_refused_with_its_place() {
    let good = "1,2,0\n3,4,1\n";
    for (bad, place) in [
        ("5,6\n", ", line 4: 2 columns, but the lines above have 3"),
        ("5,6,0,\n", ", line 4: 4 columns, but the lines above have 3"),
        ("5,x,0\n", ", line 4, column 2: \"x\" is no number"),
        ("5,,0\n", ", line 4, column 2: \"\" is no number"),
        ("nan,6,0\n", ", line 4, column 1: \"nan\" is no number"),
        ("inf,6,0\n", ", line 4, column 1: \"inf\" is no number"),
        ("1e39,6,0\n", ", line 4, column 1: \"1e39\" is no number"),
        ("5,6,cat\n", ", line 4, column 3: \"cat\" is no number"),
        ("\"5\n6\",6,0\n", ", line 4: 1 columns, but the lines above have 3"),
        ("5,6,-1\n", ", line 4: label \"-1\" (allowed: a whole number from 0 to 65535)"),
        ("5,6,0.5\n", ", line 4: label \"0.5\" (allowed: a whole number from 0 to 65535)"),
        ("a longer text than is shown,6,0\n", ", line 4, column 1: \"a longer text th\" is no number"),
        ("5,6,65536\n", ", line 4: label \"65536\" (allowed: a whole number from 0 to 65535)"),
    ] {
        let text = format!("{good}\n{bad}{good}");
        let (_directory, path, spec) = csv("x.csv", text.as_bytes(), "held_out_every = 2");
        assert_eq!(refused(&spec).to_string(), format!("{}{place}", path.display()), "{bad:?}");
    }
}

#[test]
fn a_header_that_was_not_announced_is_recognised() {
    let (_directory, path, spec) = csv("x.csv", b"a,b,class\n1,2,0\n3,4,1\n", "");
    let expected = "line 1, column 1: \"a\" is no number; if the first line names the columns, the job needs data.header = true";
    assert_eq!(refused(&spec).to_string(), format!("{}, {expected}", path.display()));
}

#[test]
fn a_label_column_must_be_named_once() {
    for (header, times) in [("a,b,c", 0), ("class,b,class", 2)] {
        let text = format!("{header}\n1,2,0\n3,4,1\n");
        let (_directory, path, spec) = csv("x.csv", text.as_bytes(), "header = true\nlabel = \"class\"");
        let columns = header.replace(',', ", ");
        assert_eq!(
            refused(&spec).to_string(),
            format!(
                "the header of {} names {times} columns \"class\", its columns are {columns}",
                path.display()
            )
        );
    }
}

#[test]
fn tables_with_nothing_to_learn_are_refused() {
    for (text, keys) in
        [("", ""), ("\n \n", ""), ("a,b\n", "header = true"), ("1\n2\n", ""), ("class\n1\n", "header = true")]
    {
        let (_directory, _, spec) = csv("x.csv", text.as_bytes(), keys);
        let error = refused(&spec);
        assert!(matches!(error, DataError::Empty { .. }), "{text:?}: {error}");
    }
    let (_directory, path, spec) = csv("x.csv", b"1,2,0\n3,4,1\n5,6,0\n7,8,1\n", "");
    assert_eq!(
        refused(&spec).to_string(),
        format!("{} holds 4 samples: with held_out_every = 5 none is held out", path.display())
    );
    let (_directory, _, spec) = csv("x.csv", b"1,0\n3,0\n5,0\n", "held_out_every = 2");
    let error = refused(&spec);
    assert!(matches!(error, DataError::OneClass { .. }), "{error}");
    let (_directory, path, spec) = csv("x.csv", b"1,0\n3,1\n5,1\n6,2\n", "held_out_every = 2");
    assert_eq!(
        refused(&spec).to_string(),
        format!("{}, line 4: label 2, but the training samples' labels are 0 to 1", path.display())
    );
}

#[test]
fn missing_damaged_and_endless_files_are_refused() {
    let (directory, path, spec) = csv("x.csv.gz", &gzip(b"1,0\n3,1\n5,1\n"), "held_out_every = 2");
    DataSet::open(&spec).unwrap();
    std::fs::write(&path, b"1,0\n3,1\n5,1\n").unwrap();
    let error = refused(&spec);
    assert!(matches!(error, DataError::Gzip { .. }), "{error}");
    drop(directory);
    let error = refused(&spec);
    assert!(matches!(error, DataError::Read { .. }), "{error}");
    // A device without an end, as plain text.
    let endless = spec_of(Path::new("/dev/zero"));
    let error = refused(&endless);
    assert!(matches!(error, DataError::NotAFile { .. }), "{error}");
    // 17 MB in one line, from a file of a few kilobytes.
    let (_directory, _, spec) = csv("x.csv.gz", &gzip(&vec![b'7'; 17 << 20]), "");
    let error = refused(&spec);
    assert!(matches!(error, DataError::LongLine { line: 1, bytes_max: 0x100_0000, .. }), "{error}");
}

/// Two classes on either side of a line: a perceptron learns them.
#[test]
fn a_session_learns_from_a_table() {
    let text: String = (0..200)
        .map(|index| {
            let (x, y) = (f64::from(index % 20) / 10.0 - 0.95, f64::from(index / 20) / 5.0 - 0.9);
            format!("{x},{y},{}\n", u8::from(x + y > 0.0))
        })
        .collect();
    let (directory, path, _) = csv("x.csv", text.as_bytes(), "");
    let more = format!("[model]\nkind = \"mlp\"\nhidden = [8]\n[data]\nkind = \"csv\"\npath = {path:?}\n");
    let spec = job("", &format!("{more}[optimiser]\nlearning_rate = 0.3\n"));
    let mut session = Session::start(&spec, "cpu").unwrap();
    crate::train(&mut session, &spec, 40);
    let after = session.evaluate().unwrap();
    assert_eq!(after.total, 40);
    assert!(after.accuracy() >= 0.9, "{after:?}");
    drop(directory);
}
