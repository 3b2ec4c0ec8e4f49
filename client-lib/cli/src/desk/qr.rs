//! A QR code at a terminal and as a picture. The only place that names `qrcode` and `png`.

use console::Style;
use qrcode::{Color, EcLevel, QrCode};

use crate::output::Failure;

/// Light modules around a code, without which phones do not find it (ISO/IEC 18004).
const QUIET: usize = 4;
/// Pixels of a module in a picture: a hand's breadth on most printers.
const SCALE: usize = 12;

/// A code with its quiet border.
pub(super) struct Qr {
    side: usize,
    dark: Vec<bool>,
}

impl Qr {
    /// Of a text, such that a seventh of the code may be dirty or torn.
    pub(super) fn of(text: &str) -> Result<Self, Failure> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M)
            .map_err(|_| Failure::could_not_run("the address is too long for a code"))?;
        let (inner, colors) = (code.width(), code.to_colors());
        let side = inner + 2 * QUIET;
        let is_dark = |at: usize| {
            let (x, y) = (at % side, at / side);
            let (x, y) = (x.checked_sub(QUIET)?, y.checked_sub(QUIET)?);
            let color = (x < inner).then(|| colors.get(y * inner + x))??;
            Some(*color == Color::Dark)
        };
        let dark = (0..side * side).map(|at| is_dark(at).unwrap_or(false));
        let dark = dark.collect();
        Ok(Self { side, dark })
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        x < self.side && self.dark.get(y * self.side + x).copied().unwrap_or(false)
    }

    /// Two modules a character, black on white whatever the terminal's colors are.
    pub(super) fn for_terminal(&self) -> String {
        let style = Style::new().color256(16).on_color256(231);
        let line = |y: usize| -> String {
            let both = |x: usize| match (self.is_dark(x, y), self.is_dark(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            };
            let line: String = (0..self.side).map(both).collect();
            format!("{}\n", style.apply_to(line))
        };
        (0..self.side).step_by(2).map(line).collect()
    }

    /// A picture of one bit a pixel.
    pub(super) fn png(&self) -> Result<Vec<u8>, Failure> {
        let fault = |_| Failure::could_not_run("the picture could not be made");
        let pixels = self.side * SCALE;
        let width = u32::try_from(pixels).map_err(|_| {
            Failure::could_not_run("the picture could not be made: it would be too large")
        })?;
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, width);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header().map_err(fault)?;
        writer.write_image_data(&self.rows(pixels)).map_err(fault)?;
        writer.finish().map_err(fault)?;
        Ok(bytes)
    }

    /// Eight pixels a byte, the leftmost in the highest bit; a set bit is light.
    fn rows(&self, pixels: usize) -> Vec<u8> {
        let mut rows = Vec::with_capacity(pixels * pixels.div_ceil(8));
        for y in 0..pixels {
            for first in (0..pixels).step_by(8) {
                let byte = (first..first + 8).fold(0_u8, |byte, x| {
                    let is_light = !self.is_dark(x / SCALE, y / SCALE);
                    byte << 1 | u8::from(is_light)
                });
                rows.push(byte);
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a phone would read off an image of this side.
    fn read(side: usize, is_dark: impl Fn(usize, usize) -> bool) -> String {
        let shade = |x, y| if is_dark(x, y) { 0 } else { 255 };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, shade);
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        grids[0].decode().unwrap().1
    }

    fn texts() -> [String; 3] {
        let long = format!("sotto-desk:1:{}", "aB3_-".repeat(100));
        ["x".to_owned(), "sotto-desk:1:AAECAw".to_owned(), long]
    }

    #[test]
    fn a_phone_reads_the_picture() {
        for text in texts() {
            let picture = Qr::of(&text).unwrap().png().unwrap();
            let decoder = png::Decoder::new(std::io::Cursor::new(picture));
            let mut reader = decoder.read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut pixels).unwrap();
            let side = info.width as usize;
            let is_dark = |x: usize, y: usize| {
                let byte = pixels[y * info.line_size + x / 8];
                byte >> (7 - x % 8) & 1 == 0
            };
            assert_eq!(read(side, is_dark), text);
        }
    }

    #[test]
    fn a_phone_reads_the_terminal() {
        for text in texts() {
            let shown = Qr::of(&text).unwrap().for_terminal();
            let lines: Vec<Vec<char>> = console::strip_ansi_codes(&shown)
                .lines()
                .map(|line| line.chars().collect())
                .collect();
            let side = lines[0].len();
            assert!(lines.iter().all(|line| line.len() == side));
            let is_dark = |x: usize, y: usize| match lines[y / 2][x] {
                '█' => true,
                '▀' => y.is_multiple_of(2),
                '▄' => !y.is_multiple_of(2),
                _ => false,
            };
            // A module is more than a pixel for whoever reads it.
            let text_read = read(side * 4, |x, y| is_dark(x / 4, y / 4));
            assert_eq!(text_read, text);
        }
    }

    #[test]
    fn what_is_too_long_for_a_code_is_said() {
        assert!(Qr::of(&"x".repeat(2_331)).is_ok());
        assert!(Qr::of(&"x".repeat(2_332)).is_err());
    }
}
