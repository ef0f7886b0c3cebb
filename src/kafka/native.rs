//! The calls into librdkafka that rdkafka has no safe form of.
#![expect(
    unsafe_code,
    reason = "rdkafka panics on header names that are not UTF-8 and cannot write them, cannot put headers \
              back into a report, never frees the id of a cluster that it was given, and can tell neither \
              how a client was configured nor what it knows of a partition's end, and needs pointers for \
              what comes back with a report"
)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::mem::ManuallyDrop;
use std::{fmt, ptr, slice};

use rdkafka::bindings;
use rdkafka::client::{Client, ClientContext};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, OwnedHeaders};
use rdkafka::util::IntoOpaque;
/// One header of a message; the value of a null header is `None`.
pub(super) struct RawHeader<'a> {
    pub(super) name: &'a CStr,
    pub(super) value: Option<&'a [u8]>,
}

/// The headers of a message in their order, whatever bytes their names hold.
pub(super) fn headers(headers: &BorrowedHeaders) -> impl Iterator<Item = RawHeader<'_>> {
    let native = ptr::from_ref(headers).cast::<bindings::rd_kafka_headers_t>();
    (0..).map_while(move |index| {
        let mut name: *const c_char = ptr::null();
        let mut value: *const c_void = ptr::null();
        let mut size = 0;
        // SAFETY: a `&BorrowedHeaders` is librdkafka's own pointer to a header list, valid as long
        // as the reference. The out pointers are to live locals; an index past the end is an
        // error that leaves them alone.
        let status = unsafe {
            bindings::rd_kafka_header_get_all(native, index, &mut name, &mut value, &mut size)
        };
        if status != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            return None;
        }
        // SAFETY: librdkafka ends every name with a NUL and keeps it unchanged while the list is
        // borrowed.
        let name = unsafe { CStr::from_ptr(name) };
        let value = (!value.is_null()).then(|| {
            // SAFETY: a value that is not null has `size` bytes, which stay unchanged while the
            // list is borrowed.
            unsafe { slice::from_raw_parts(value.cast::<u8>(), size) }
        });
        Some(RawHeader { name, value })
    })
}

/// Adds a header at the end, whatever bytes its name holds.
pub(super) fn append(headers: &mut OwnedHeaders, header: &RawHeader<'_>) {
    let native = ptr::from_ref(headers.as_borrowed())
        .cast::<bindings::rd_kafka_headers_t>()
        .cast_mut();
    let (value, size) = header.value.map_or((ptr::null(), 0), |value| {
        (value.as_ptr().cast::<c_void>(), value.len())
    });
    // SAFETY: the pointer is librdkafka's own, not one to Rust memory, and `OwnedHeaders` is a list
    // that may be changed. The exclusive borrow keeps all other readers away. The name ends with a
    // NUL, which -1 says, and the value has `size` bytes, no more than `isize` holds; both are copied
    // before the call returns, and neither is in the list, which is borrowed mutably.
    unsafe {
        bindings::rd_kafka_header_add(native, header.name.as_ptr(), -1, value, size.cast_signed());
    }
}

/// Gives a message other headers, in a report of the delivery that nobody else has seen yet.
pub(super) fn set_headers(message: &BorrowedMessage<'_>, headers: Option<OwnedHeaders>) {
    let native = headers.map_or(ptr::null_mut(), |headers| {
        let headers = ManuallyDrop::new(headers);
        ptr::from_ref(headers.as_borrowed())
            .cast::<bindings::rd_kafka_headers_t>()
            .cast_mut()
    });
    // SAFETY: the message is alive, and librdkafka's own memory, not Rust's. It frees the headers
    // that it had, of which the caller has no reference left, and owns the new ones from now on:
    // they are never dropped here.
    unsafe {
        bindings::rd_kafka_message_set_headers(message.ptr(), native);
    }
}

/// What goes along with a record and comes back with its report: something of ours, if there is
/// anything, and the user's own opaque.
#[expect(unnameable_types, reason = "it has a name as `kafka::TracedOpaque`")]
pub struct Opaque<T, O> {
    pub(super) ours: Option<T>,
    pub(super) users: O,
}

impl<T, O> fmt::Debug for Opaque<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_ours = self.ours.is_some();
        f.debug_struct("TracedOpaque")
            .field("is_traced", &is_ours)
            .finish_non_exhaustive()
    }
}

/// A box only where there is something of ours: librdkafka does not give back the opaque of a record that it reports
/// nothing of. Boxes are even; what is odd is the user's own, whose highest bit is not used by pointers, and hardly by
/// numbers: those that do are in a box too.
impl<T: Send + Sync, O: IntoOpaque> IntoOpaque for Opaque<T, O> {
    fn into_ptr(self) -> *mut c_void {
        let users = self.users.into_ptr();
        let number = users.expose_provenance();
        match self.ours {
            None if users.is_null() => users,
            None if number <= usize::MAX >> 1 => ptr::with_exposed_provenance_mut(number << 1 | 1),
            ours => Box::into_raw(Box::new((ours, users))).cast(),
        }
    }

    unsafe fn from_ptr(native: *mut c_void) -> Self {
        let number = native.addr();
        let (ours, users) = if native.is_null() {
            (None, native)
        } else if number % 2 == 1 {
            (None, ptr::with_exposed_provenance_mut(number >> 1))
        } else {
            // SAFETY: what is neither null nor odd is a box of `into_ptr`, which the caller has from there, once.
            *unsafe { Box::from_raw(native.cast::<(Option<T>, *mut c_void)>()) }
        };
        // SAFETY: this is what the same type's `into_ptr` has given, in the box or where there was none.
        let users = unsafe { O::from_ptr(users) };
        Self { ours, users }
    }
}

/// A property of a client's configuration, as librdkafka holds it; `None` if unset or empty.
pub(super) fn config<C: ClientContext>(client: &Client<C>, name: &CStr) -> Option<String> {
    // SAFETY: the client is alive, and its configuration lives as long as it does and is not
    // changed any more.
    let conf = unsafe { bindings::rd_kafka_conf(client.native_ptr()) };
    let mut size = 0;
    // SAFETY: without a destination librdkafka only writes the size, with the final NUL.
    let status =
        unsafe { bindings::rd_kafka_conf_get(conf, name.as_ptr(), ptr::null_mut(), &mut size) };
    if status != bindings::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
        return None;
    }
    let mut value = vec![0_u8; size];
    // SAFETY: the destination has the `size` bytes that librdkafka asked for.
    let status = unsafe {
        bindings::rd_kafka_conf_get(
            conf,
            name.as_ptr(),
            value.as_mut_ptr().cast::<c_char>(),
            &mut size,
        )
    };
    if status != bindings::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
        return None;
    }
    let value = CStr::from_bytes_until_nul(&value).ok()?.to_str().ok()?;
    (!value.is_empty()).then(|| value.to_owned())
}

/// The id of the client's cluster, if the client knows it by now. It asks no broker.
pub(super) fn cluster_id<C: ClientContext>(client: &Client<C>) -> Option<String> {
    // SAFETY: the client is alive, and without time to wait librdkafka only looks at what it knows.
    let native = unsafe { bindings::rd_kafka_clusterid(client.native_ptr(), 0) };
    if native.is_null() {
        return None;
    }
    // SAFETY: what is not null ends with a NUL, and is ours until it is freed.
    let id = unsafe { CStr::from_ptr(native) }.to_str().ok();
    let id = id.map(str::to_owned);
    // SAFETY: it was allocated for us by this client, nobody else has it, and `id` is a copy.
    unsafe { bindings::rd_kafka_mem_free(client.native_ptr(), native.cast::<c_void>()) };
    id
}

/// The end of a partition as the client knows it from its last fetch: the offset of the message
/// that will be next. It asks no broker, but takes the client's locks.
pub(super) fn high_watermark<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (0, 0);
    // SAFETY: the client is alive, the topic ends with a NUL, and both out pointers are to live
    // locals.
    let status = unsafe {
        bindings::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            topic.as_ptr(),
            partition,
            &mut low,
            &mut high,
        )
    };
    let is_known = status == bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0;
    is_known.then_some(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nothing_needs_no_memory_and_what_a_user_gives_comes_back() {
        let nothing = Opaque {
            ours: None::<u8>,
            users: (),
        };
        assert!(nothing.into_ptr().is_null());

        let numbers = [0, 7_usize, usize::MAX >> 1, usize::MAX];
        let without = numbers.map(|users| (None, users));
        for (ours, users) in without.into_iter().chain([(Some('x'), 0), (Some('x'), 7)]) {
            let native = Opaque { ours, users }.into_ptr();
            let is_boxed = !native.is_null() && native.addr() % 2 == 0;
            assert_eq!(is_boxed, ours.is_some() || users == usize::MAX);
            // SAFETY: the pointer is from the same type, and is taken back once.
            let back = unsafe { Opaque::<char, usize>::from_ptr(native) };
            assert_eq!((back.ours, back.users), (ours, users));
        }
    }
}
