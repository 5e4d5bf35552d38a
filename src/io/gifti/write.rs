//! Writing.

use super::STRUCTURES;
use crate::error::{Error, Result};
use crate::io::{atomic, base64, xml};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write;
use std::path::Path;

/// What the numbers of maps are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Anything.
    None,
    /// Volumes of a series.
    TimeSeries,
}

impl Intent {
    fn name(self) -> &'static str {
        match self {
            Self::None => "NIFTI_INTENT_NONE",
            Self::TimeSeries => "NIFTI_INTENT_TIME_SERIES",
        }
    }
}

/// Writes maps of a surface: one array of 32-bit floats a map, called `Name`. `structure` is
/// CIFTI's name, such as `CORTEX_LEFT`.
///
/// # Errors
/// [`Error::Io`]; [`Error::Invalid`] when there is no map, or maps differ in length.
pub fn write(path: &Path, structure: &str, maps: &[(&str, &[f32])], intent: Intent) -> Result<()> {
    let n_vertices = maps.first().map_or(0, |(_, values)| values.len());
    if n_vertices == 0 || maps.iter().any(|(_, values)| values.len() != n_vertices) {
        let found = format!("{:?}", maps.iter().map(|(_, values)| values.len()).collect::<Vec<_>>());
        return Err(Error::invalid(path.display().to_string(), "maps of as many vertices each", found, ""));
    }
    let known = STRUCTURES.iter().find(|(_, cifti)| *cifti == structure);
    let structure = xml::escaped(known.map_or(structure, |(gifti, _)| gifti));
    atomic::write_with(path, |file| {
        write!(
            file,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!DOCTYPE GIFTI SYSTEM \"http://www.nitrc.org/frs/download.php/115/gifti.dtd\">\n\
             <GIFTI Version=\"1.0\" NumberOfDataArrays=\"{}\">\n<MetaData>{}</MetaData>\n<LabelTable/>\n",
            maps.len(),
            md("AnatomicalStructurePrimary", &structure)
        )?;
        for (name, values) in maps {
            let mut packed = ZlibEncoder::new(vec![], Compression::default());
            values.iter().try_for_each(|v| packed.write_all(&v.to_le_bytes()))?;
            let data = base64::encode(&packed.finish()?);
            write!(
                file,
                "<DataArray Intent=\"{}\" DataType=\"NIFTI_TYPE_FLOAT32\" ArrayIndexingOrder=\"RowMajorOrder\" \
                 Dimensionality=\"1\" Dim0=\"{n_vertices}\" Encoding=\"GZipBase64Binary\" Endian=\"LittleEndian\" \
                 ExternalFileName=\"\" ExternalFileOffset=\"\">\n<MetaData>{}</MetaData>\n<Data>{data}</Data>\n\
                 </DataArray>\n",
                intent.name(),
                md("Name", &xml::escaped(name))
            )?;
        }
        writeln!(file, "</GIFTI>")
    })
}

fn md(name: &str, value: &str) -> String {
    format!("<MD><Name>{name}</Name><Value>{value}</Value></MD>")
}
