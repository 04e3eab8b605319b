//! A folder of pictures, a folder for each class, becomes the four IDX files that jobs read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::DataSetError;
use super::cutting::files_of;

/// Classes at most: a label is a byte.
const CLASSES_MAX: usize = 256;
/// Of each class the last of so many pictures is held out, where no folder `test` says which.
const HELD_OUT_EVERY: usize = 5;
/// Bytes that one picture may take when it is unpacked.
const PICTURE_BYTES_MAX: usize = 64 << 20;
/// Bytes of all pictures of one half, unpacked: what a job reads of one file.
const HALF_BYTES_MAX: u64 = 1 << 30;
/// Beside the IDX files: the names of the classes, in the order of their labels.
const CLASSES_FILE: &str = "classes.txt";

/// A picture as it is in IDX: channel by channel, row by row.
#[derive(Debug)]
struct Picture {
    /// Channels, height, width.
    shape: [usize; 3],
    values: Vec<u8>,
}

/// Pictures of one half, in the order of their classes, with their labels.
type Half = Vec<(u8, PathBuf)>;

/// Writes the IDX files of the pictures below `folder` to `to`. `folder/CLASS/PICTURE`, or `folder/train/CLASS/PICTURE` and
/// `folder/test/CLASS/PICTURE`; PNG, and PGM and PPM of the binary kind.
pub(super) fn convert(folder: &Path, to: &Path) -> Result<(), DataSetError> {
    let (is_folder, files) = files_of(folder)?;
    if !is_folder {
        return Err(refused(folder, "it is no folder with a folder for each class"));
    }
    let (classes, training, held_out) = sort(folder, files)?;
    let mut shape = None;
    for (name, half) in [("train", training), ("t10k", held_out)] {
        write_half(to, name, &half, &mut shape)?;
    }
    let text: String = classes.iter().map(|class| format!("{class}\n")).collect();
    let path = to.join(CLASSES_FILE);
    fs::write(&path, text).map_err(DataSetError::file("write", &path))
}

fn refused(path: &Path, why: &str) -> DataSetError {
    DataSetError::Refused { reason: format!("{}: {why}", path.display()) }
}

fn sort(folder: &Path, files: Vec<(String, PathBuf)>) -> Result<(Vec<String>, Half, Half), DataSetError> {
    let mut halves: [BTreeMap<String, Vec<PathBuf>>; 2] = Default::default();
    let has_halves = ["train/", "test/"].map(|half| files.iter().any(|(name, _)| name.starts_with(half)));
    for (name, path) in files {
        let parts: Vec<&str> = name.split('/').collect();
        let (half, class) = match (&parts[..], has_halves) {
            (&["train", class, _], [true, true]) => (0, class),
            (&["test", class, _], [true, true]) => (1, class),
            (&[class, _], [false, false]) => (0, class),
            _ => {
                return Err(refused(
                    &path,
                    "it lies in no folder of a class: CLASS/PICTURE, or below train and test",
                ));
            }
        };
        halves[half].entry(class.to_owned()).or_default().push(path);
    }
    let [training, held_out] = halves;
    let classes: Vec<String> = training.keys().cloned().collect();
    if !(2..=CLASSES_MAX).contains(&classes.len()) {
        let why = format!("{} classes: a set of pictures has 2 to {CLASSES_MAX}", classes.len());
        return Err(refused(folder, &why));
    }
    let mut halves: [Half; 2] = Default::default();
    for (label, pictures) in (0u8..=u8::MAX).zip(training.into_values()) {
        for (number, path) in pictures.into_iter().enumerate() {
            let is_held_out = !has_halves[0] && number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1;
            halves[usize::from(is_held_out)].push((label, path));
        }
    }
    for (class, pictures) in held_out {
        let position = classes.iter().position(|known| *known == class);
        let Some(label) = position.and_then(|position| u8::try_from(position).ok()) else {
            return Err(refused(&folder.join("test").join(&class), "there is no such class below train"));
        };
        halves[1].extend(pictures.into_iter().map(|path| (label, path)));
    }
    let [training, held_out] = halves;
    if held_out.is_empty() {
        return Err(refused(
            folder,
            "no picture is held out: a class needs at least 5, or make folders train and test",
        ));
    }
    Ok((classes, training, held_out))
}

fn write_half(
    to: &Path,
    name: &str,
    half: &Half,
    shape: &mut Option<([usize; 3], PathBuf)>,
) -> Result<(), DataSetError> {
    let labels: Vec<u8> = half.iter().map(|(label, _)| *label).collect();
    let labels_path = to.join(format!("{name}-labels-idx1-ubyte"));
    let head = header(&[labels.len()]).ok_or_else(|| refused(to, "too many pictures"))?;
    fs::write(&labels_path, [head, labels].concat()).map_err(DataSetError::file("write", &labels_path))?;
    let mut images: Option<(PathBuf, BufWriter<File>)> = None;
    for (_, path) in half {
        let picture = read(path)?;
        let (known, first) = shape.get_or_insert_with(|| (picture.shape, path.clone()));
        if picture.shape != *known {
            let words = |shape: [usize; 3]| format!("{}x{} with {} channels", shape[2], shape[1], shape[0]);
            let why = format!("it is {}, {} is {}", words(picture.shape), first.display(), words(*known));
            return Err(refused(path, &why));
        }
        let (images_path, file) = match &mut images {
            Some(open) => open,
            none => none.insert(begin(to, name, half.len(), *known)?),
        };
        file.write_all(&picture.values).map_err(DataSetError::file("write", &*images_path))?;
    }
    if let Some((path, mut file)) = images {
        file.flush().map_err(DataSetError::file("write", path))?;
    }
    Ok(())
}

/// The file of a half's pictures with its header.
fn begin(
    to: &Path,
    name: &str,
    count: usize,
    shape: [usize; 3],
) -> Result<(PathBuf, BufWriter<File>), DataSetError> {
    let [channels, height, width] = shape;
    let bytes = (channels * height * width) as u64 * count as u64;
    let dimensions: &[usize] =
        if channels == 1 { &[count, height, width] } else { &[count, channels, height, width] };
    let head = header(dimensions).filter(|_| bytes <= HALF_BYTES_MAX);
    let head = head.ok_or_else(|| refused(to, "the pictures take more than 1 GiB unpacked"))?;
    let path = to.join(format!("{name}-images-idx{}-ubyte", dimensions.len()));
    let mut file = BufWriter::new(File::create(&path).map_err(DataSetError::file("make", &path))?);
    file.write_all(&head).map_err(DataSetError::file("write", &path))?;
    Ok((path, file))
}

/// The header of an IDX file of bytes.
fn header(dimensions: &[usize]) -> Option<Vec<u8>> {
    let mut head = vec![0, 0, 8, u8::try_from(dimensions.len()).ok()?];
    for dimension in dimensions {
        head.extend(u32::try_from(*dimension).ok()?.to_be_bytes());
    }
    Some(head)
}

fn read(path: &Path) -> Result<Picture, DataSetError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "png" => read_png(path),
        "pgm" | "ppm" => read_pnm(path),
        _ => Err(refused(path, "it is no picture that is read: .png, .pgm or .ppm")),
    }
}

fn read_png(path: &Path) -> Result<Picture, DataSetError> {
    let bad = |error: png::DecodingError| refused(path, &error.to_string());
    let file = File::open(path).map_err(DataSetError::file("read", path))?;
    let limits = png::Limits { bytes: PICTURE_BYTES_MAX };
    let mut decoder = png::Decoder::new_with_limits(BufReader::new(file), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(bad)?;
    let bytes = reader.output_buffer_size().filter(|bytes| *bytes <= PICTURE_BYTES_MAX);
    let mut pixels = vec![0; bytes.ok_or_else(|| refused(path, "it is too large"))?];
    let info = reader.next_frame(&mut pixels).map_err(bad)?;
    pixels.truncate(info.buffer_size());
    let (width, height) = (info.width as usize, info.height as usize);
    // Transparency is left out.
    let (channels, samples) = match info.color_type {
        png::ColorType::Grayscale => (1, 1),
        png::ColorType::GrayscaleAlpha => (1, 2),
        png::ColorType::Rgb => (3, 3),
        png::ColorType::Rgba => (3, 4),
        png::ColorType::Indexed => return Err(refused(path, "its colours could not be told")),
    };
    Ok(Picture { shape: [channels, height, width], values: planes(&pixels, channels, samples) })
}

/// Channels one after the other, of pixels that have `samples` values each.
fn planes(pixels: &[u8], channels: usize, samples: usize) -> Vec<u8> {
    (0..channels).flat_map(|channel| pixels.iter().skip(channel).step_by(samples).copied()).collect()
}

/// Netpbm's binary kinds: a word, width, height and largest value in decimal, one blank, then a byte a value.
fn read_pnm(path: &Path) -> Result<Picture, DataSetError> {
    let length = fs::metadata(path).map_err(DataSetError::file("read", path))?.len();
    if length > PICTURE_BYTES_MAX as u64 {
        return Err(refused(path, "it is too large"));
    }
    let bytes = fs::read(path).map_err(DataSetError::file("read", path))?;
    let malformed = || refused(path, "it is no binary PGM or PPM of 8 bits");
    let mut at = 0;
    let mut word = || {
        // Blanks, and comments up to the end of their line.
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'#' => at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at),
                byte if byte.is_ascii_whitespace() => at += 1,
                _ => break,
            }
        }
        let start = at;
        at += bytes[at..].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        std::str::from_utf8(&bytes[start..at]).unwrap_or_default().to_owned()
    };
    let (kind, width, height, largest) = (word(), word(), word(), word());
    let channels = match kind.as_str() {
        "P5" => 1,
        "P6" => 3,
        _ => return Err(malformed()),
    };
    let side = |text: &str| text.parse::<usize>().ok().filter(|side| (1..=65_536).contains(side));
    let (Some(width), Some(height), "255") = (side(&width), side(&height), largest.as_str()) else {
        return Err(malformed());
    };
    let pixels = bytes.get(at + 1..).unwrap_or_default();
    let expected = width * height * channels;
    if pixels.len() != expected {
        return Err(refused(
            path,
            &format!("it has {} bytes of pixels, its head says {expected}", pixels.len()),
        ));
    }
    Ok(Picture { shape: [channels, height, width], values: planes(pixels, channels, channels) })
}
