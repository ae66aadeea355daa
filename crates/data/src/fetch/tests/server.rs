//! A server on the loopback interface that misbehaves on request.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does with one request.
#[derive(Clone)]
pub enum Reply {
    /// All that was asked for, as ranges if so asked.
    Whole,
    /// The whole file, asked for or not.
    WholeIgnoringRange,
    /// All that was asked for, a few milliseconds late.
    Late,
    /// What was asked for up to this position, and then the end of the connection.
    CutAt(usize),
    /// What was asked for up to this position, and then silence.
    StallAt(usize),
    /// Silence before the first byte.
    Silence,
    /// All that was asked for, the bits of one byte flipped.
    Corrupt(usize),
    /// So many bytes of the file, and zeros after its end, without a length.
    Unannounced(usize),
    /// Another file, announced as so long.
    Other(usize),
    /// A part that begins elsewhere.
    Misplaced(Range<usize>),
    /// The status line's number and reason, without a file.
    Status(&'static str),
    /// A redirect.
    Moved(String),
}

/// Serves one file, with one reply a request; the last reply is for all further requests.
pub struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

/// The strong entity tag under which the server serves its file.
pub const ETAG: &str = "\"v1\"";

impl Server {
    pub fn new(content: &[u8], replies: &[Reply]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (content, replies, log) = (content.to_vec(), replies.to_vec(), requests.clone());
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let reply = replies[number.min(replies.len() - 1)].clone();
                let (content, log) = (content.clone(), log.clone());
                thread::spawn(move || answer(stream.unwrap(), &content, reply, &log));
            }
        });
        Server { address, requests }
    }

    /// Address of the file.
    pub fn url(&self) -> String {
        format!("{}/file", self.address)
    }

    /// Of each request so far, the headers about ranges, as in `range: bytes=5-`.
    pub fn ranges(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .map(|request| about_ranges(request))
            .collect()
    }
}

fn about_ranges(request: &str) -> String {
    let lines: Vec<&str> = request
        .lines()
        .filter(|line| line.starts_with("range:") || line.starts_with("if-range:"))
        .collect();
    lines.join(", ")
}

/// Serves one request; a client that hangs up early is none of the server's business.
fn answer(mut stream: TcpStream, content: &[u8], reply: Reply, log: &Mutex<Vec<String>>) {
    let request = read_head(&mut stream);
    let asked = first_byte(&request);
    log.lock().unwrap().push(request);
    let _ = match reply {
        Reply::Whole => send(&mut stream, content, asked, content.len()),
        Reply::WholeIgnoringRange => send(&mut stream, content, None, content.len()),
        Reply::Late => {
            thread::sleep(Duration::from_millis(200));
            send(&mut stream, content, asked, content.len())
        }
        Reply::CutAt(end) => send(&mut stream, content, asked, end),
        Reply::StallAt(end) => {
            send(&mut stream, content, asked, end).map(|()| wait_for_hang_up(&mut stream))
        }
        Reply::Silence => {
            wait_for_hang_up(&mut stream);
            Ok(())
        }
        Reply::Corrupt(position) => {
            let mut content = content.to_vec();
            content[position] ^= 0xff;
            send(&mut stream, &content, asked, content.len())
        }
        Reply::Unannounced(length) => {
            let mut content = content.to_vec();
            content.resize(length, 0);
            let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            stream
                .write_all(head)
                .and_then(|()| stream.write_all(&content))
        }
        Reply::Other(length) => send(&mut stream, &vec![0; length], None, length),
        Reply::Misplaced(range) => {
            let head = part_head(range.start, range.end, content.len());
            stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&content[range]))
        }
        Reply::Status(status) => {
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: 5\r\nconnection: close\r\n\r\nsorry");
            stream.write_all(head.as_bytes())
        }
        Reply::Moved(location) => {
            let head = format!(
                "HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes())
        }
    };
}

/// Announces the bytes from `asked` on, and sends those before `end`.
fn send(
    stream: &mut TcpStream,
    content: &[u8],
    asked: Option<usize>,
    end: usize,
) -> std::io::Result<()> {
    let head = match asked {
        Some(start) => part_head(start, content.len(), content.len()),
        None => format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\netag: {ETAG}\r\nconnection: close\r\n\r\n",
            content.len()
        ),
    };
    stream.write_all(head.as_bytes())?;
    stream.write_all(&content[asked.unwrap_or(0).min(end)..end])
}

fn part_head(start: usize, end: usize, total: usize) -> String {
    format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {start}-{}/{total}\r\ncontent-length: {}\r\netag: {ETAG}\r\nconnection: close\r\n\r\n",
        end - 1,
        end - start
    )
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

fn first_byte(request: &str) -> Option<usize> {
    let range = request
        .lines()
        .find_map(|line| line.strip_prefix("range: bytes="))?;
    range.trim_end_matches('-').parse().ok()
}

fn wait_for_hang_up(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0]);
}
