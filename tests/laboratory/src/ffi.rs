//! The C side: the functions that callers see, and the real module behind them.
//!
//! The only file with unsafe code in the project (tests/architecture/unsafe_code.rs). What a caller
//! hands over is passed on as it came, so it is as valid for the real module as it was for this one;
//! where something is read or changed here, the standard says what the pointer points to.
//!
//! Longer than files may be: a part of it elsewhere would take unsafe code there. Whatever can be said
//! without pointers stands in device.rs, lies.rs and sessions.rs.

#![expect(unsafe_code, reason = "a PKCS#11 module is a C library, and so is the one behind it")]
#![expect(non_snake_case, reason = "the standard names these functions")]

use std::ffi::c_void;
use std::sync::OnceLock;
use std::{env, ptr, slice};

use cryptoki_sys::*;
use libloading::Library;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::counters::{Counter, Fate, Place};
use crate::device::{Call, Device, Laboratory, On, Verdict};
use crate::functions::Function;
use crate::lies::{Object, Told};
use crate::script::{Asks, Script};
use crate::sessions::{Hash, Signing};

/// The module behind this one. It is never unloaded.
struct Real {
    functions: CK_FUNCTION_LIST,
    _library: Library,
}

fn laboratory() -> &'static Laboratory {
    static LABORATORY: OnceLock<Laboratory> = OnceLock::new();
    LABORATORY.get_or_init(Laboratory::from_environment)
}

fn real() -> Option<&'static Real> {
    static REAL: OnceLock<Option<Real>> = OnceLock::new();
    let load = || match Real::load() {
        Ok(real) => Some(real),
        Err(why) => {
            laboratory().counters().error(&why);
            None
        }
    };
    REAL.get_or_init(load).as_ref()
}

/// The real module's function of this name, called.
macro_rules! call {
    ($real:expr, $function:ident($($argument:expr),*)) => {
        match $real.functions.$function {
            // SAFETY: the function of this name of the real module, with arguments of its types, which
            // the standard lets it be called with: the caller's own, or made here to fit.
            Some(function) => unsafe { function($($argument),*) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}

impl Real {
    fn load() -> Result<Self, String> {
        let path = env::var_os("LABORATORY_MODULE").ok_or("LABORATORY_MODULE is not set")?;
        // SAFETY: loading runs the initialisers of a module that its user has chosen to run.
        let library = unsafe { Library::new(&path) }.map_err(|error| error.to_string())?;
        // SAFETY: a PKCS#11 module's symbol of this name has this type.
        let list = unsafe {
            library.get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(
                b"C_GetFunctionList\0",
            )
        };
        let list = list.map_err(|error| error.to_string())?;
        let mut functions = ptr::null_mut();
        // SAFETY: it writes one pointer.
        let result = unsafe { list(&raw mut functions) };
        if result != CKR_OK || functions.is_null() {
            return Err(format!("C_GetFunctionList of {path:?} returned {result:#x}"));
        }
        // SAFETY: the list that a module returns stays as it is while the module is loaded.
        Ok(Self { functions: unsafe { *functions }, _library: library })
    }

    /// The slots, with a token or all.
    fn slots(&self, with_token: CK_BBOOL) -> Result<Vec<CK_SLOT_ID>, CK_RV> {
        listed(|list, count| call!(self, C_GetSlotList(with_token, list, count)))
    }

    fn token_info(&self, slot: CK_SLOT_ID) -> Option<CK_TOKEN_INFO> {
        let mut info = CK_TOKEN_INFO::default();
        (call!(self, C_GetTokenInfo(slot, &raw mut info)) == CKR_OK).then_some(info)
    }

    /// Does something on a session that the caller knows nothing of.
    fn aside<T>(&self, slot: CK_SLOT_ID, act: impl FnOnce(CK_SESSION_HANDLE) -> T) -> Option<T> {
        let mut session = 0;
        let none = ptr::null_mut();
        let opened = C_OPEN_READING;
        if call!(self, C_OpenSession(slot, opened, none, None, &raw mut session)) != CKR_OK {
            return None;
        }
        let done = act(session);
        call!(self, C_CloseSession(session));
        Some(done)
    }

    /// All objects of a class, in the order of their handles.
    fn objects(&self, session: CK_SESSION_HANDLE, class: CK_OBJECT_CLASS) -> Vec<CK_OBJECT_HANDLE> {
        let mut class = class;
        let mut template = CK_ATTRIBUTE {
            type_: CKA_CLASS,
            pValue: (&raw mut class).cast(),
            ulValueLen: size_of::<CK_OBJECT_CLASS>().try_into().unwrap_or_default(),
        };
        if call!(self, C_FindObjectsInit(session, &raw mut template, 1)) != CKR_OK {
            return Vec::new();
        }
        let mut found = vec![0; 256];
        let mut count = 0;
        let result = call!(self, C_FindObjects(session, found.as_mut_ptr(), 256, &raw mut count));
        call!(self, C_FindObjectsFinal(session));
        found.truncate(if result == CKR_OK { length(count) } else { 0 });
        found.sort_unstable();
        found
    }

    fn attribute(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        kind: CK_ATTRIBUTE_TYPE,
    ) -> Option<Vec<u8>> {
        let mut octets = vec![0_u8; 4096];
        let mut template = CK_ATTRIBUTE {
            type_: kind,
            pValue: octets.as_mut_ptr().cast(),
            ulValueLen: octets.len().try_into().unwrap_or_default(),
        };
        let result = call!(self, C_GetAttributeValue(session, object, &raw mut template, 1));
        if result != CKR_OK || template.ulValueLen == CK_UNAVAILABLE_INFORMATION {
            return None;
        }
        octets.truncate(length(template.ulValueLen));
        Some(octets)
    }

    fn number(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        kind: CK_ATTRIBUTE_TYPE,
    ) -> Option<CK_ULONG> {
        let octets = self.attribute(session, object, kind)?;
        Some(CK_ULONG::from_ne_bytes(octets.try_into().ok()?))
    }

    fn object(&self, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Object {
        let label = self.attribute(session, object, CKA_LABEL);
        Object {
            class: self.number(session, object, CKA_CLASS),
            label: label.and_then(|octets| String::from_utf8(octets).ok()),
        }
    }

    /// What the next object of the same class has, the first one after the last.
    fn of_next(
        &self,
        slot: CK_SLOT_ID,
        object: CK_OBJECT_HANDLE,
        class: CK_OBJECT_CLASS,
        kind: CK_ATTRIBUTE_TYPE,
    ) -> Option<Vec<u8>> {
        self.aside(slot, |session| {
            let objects = self.objects(session, class);
            let place = objects.iter().position(|one| *one == object)?;
            let next = objects.get(place.saturating_add(1)).or_else(|| objects.first())?;
            self.attribute(session, *next, kind)
        })?
    }

    /// Another private key of the same type.
    fn other_key(&self, slot: CK_SLOT_ID, key: CK_OBJECT_HANDLE) -> Option<CK_OBJECT_HANDLE> {
        self.aside(slot, |session| {
            let kind = self.number(session, key, CKA_KEY_TYPE)?;
            let others = self.objects(session, CKO_PRIVATE_KEY);
            others.into_iter().find(|other| {
                *other != key && self.number(session, *other, CKA_KEY_TYPE) == Some(kind)
            })
        })?
    }
}

const C_OPEN_READING: CK_FLAGS = CKF_SERIAL_SESSION;

impl Device for Real {
    fn close_session(&self, session: CK_SESSION_HANDLE) {
        call!(self, C_CloseSession(session));
    }

    fn close_all_sessions(&self, slot: CK_SLOT_ID) {
        call!(self, C_CloseAllSessions(slot));
    }

    fn log_out(&self, session: CK_SESSION_HANDLE) {
        call!(self, C_Logout(session));
    }

    fn finalise(&self) {
        call!(self, C_Finalize(ptr::null_mut()));
    }

    fn token_label(&self, slot: CK_SLOT_ID) -> Option<String> {
        let info = self.token_info(slot)?;
        Some(String::from_utf8_lossy(&info.label).trim_end().to_owned())
    }
}

fn length(count: CK_ULONG) -> usize {
    usize::try_from(count).unwrap_or_default()
}

/// Reads a list as the standard has it: first its length, then its members.
fn listed(read: impl Fn(*mut CK_ULONG, *mut CK_ULONG) -> CK_RV) -> Result<Vec<CK_ULONG>, CK_RV> {
    let mut count = 0;
    let result = read(ptr::null_mut(), &raw mut count);
    if result != CKR_OK {
        return Err(result);
    }
    let mut list = vec![0; length(count)];
    match read(list.as_mut_ptr(), &raw mut count) {
        CKR_OK => {
            list.truncate(length(count));
            Ok(list)
        }
        result => Err(result),
    }
}

/// Answers with a list as the standard has it.
///
/// # Safety
///
/// `count` points to a number; `place` is null or has room for as many members.
unsafe fn answer(list: &[CK_ULONG], place: *mut CK_ULONG, count: *mut CK_ULONG) -> CK_RV {
    let length = CK_ULONG::try_from(list.len()).unwrap_or_default();
    // SAFETY: the caller's promise.
    let room = unsafe { count.replace(length) };
    if place.is_null() {
        return CKR_OK;
    }
    if room < length {
        return CKR_BUFFER_TOO_SMALL;
    }
    // SAFETY: there is room for all, by the caller's promise and the check.
    unsafe { ptr::copy_nonoverlapping(list.as_ptr(), place, list.len()) };
    CKR_OK
}

const fn asks<T>(place: *mut T) -> Asks {
    if place.is_null() { Asks::Length } else { Asks::Value }
}

/// Puts a call through the laboratory.
fn run(
    function: Function,
    on: On,
    asks: Asks,
    pass: impl FnOnce(&Real, &Script, &Verdict) -> CK_RV,
) -> CK_RV {
    let Some(real) = real() else { return CKR_LIBRARY_LOAD_FAILED };
    let call = Call { function, on, asks };
    laboratory().run(real, call, |script, verdict| pass(real, script, verdict))
}

/// As [`run`], on a slot by the number that the caller knows.
fn on_slot(
    function: Function,
    shown: CK_SLOT_ID,
    pass: impl FnOnce(&Real, &Script, CK_SLOT_ID) -> CK_RV,
) -> CK_RV {
    run(function, On::Slot(shown), Asks::Value, |real, script, _| {
        let slot = laboratory().real_slot(shown);
        slot.map_or(CKR_SLOT_ID_INVALID, |slot| pass(real, script, slot))
    })
}

/// Functions on a session that are passed on as they are.
macro_rules! passed_on {
    ($($function:ident $name:ident($($argument:ident: $kind:ty),*);)*) => {$(
        unsafe extern "C" fn $name(session: CK_SESSION_HANDLE $(, $argument: $kind)*) -> CK_RV {
            run(Function::$function, On::Session(session), Asks::Value, |real, _, _| {
                call!(real, $name(session $(, $argument)*))
            })
        }
    )*};
}

type Octets = *mut CK_BYTE;
type Number = *mut CK_ULONG;
type Template = *mut CK_ATTRIBUTE;
type Handle = *mut CK_OBJECT_HANDLE;
type Method = *mut CK_MECHANISM;

passed_on! {
    InitPIN C_InitPIN(pin: Octets, length: CK_ULONG);
    SetPIN C_SetPIN(old: Octets, old_length: CK_ULONG, new: Octets, new_length: CK_ULONG);
    GetOperationState C_GetOperationState(state: Octets, length: Number);
    SetOperationState C_SetOperationState(state: Octets, length: CK_ULONG, encrypting: CK_OBJECT_HANDLE, authenticating: CK_OBJECT_HANDLE);
    Login C_Login(user: CK_USER_TYPE, pin: Octets, length: CK_ULONG);
    Logout C_Logout();
    CreateObject C_CreateObject(template: Template, count: CK_ULONG, object: Handle);
    CopyObject C_CopyObject(object: CK_OBJECT_HANDLE, template: Template, count: CK_ULONG, copy: Handle);
    DestroyObject C_DestroyObject(object: CK_OBJECT_HANDLE);
    GetObjectSize C_GetObjectSize(object: CK_OBJECT_HANDLE, size: Number);
    SetAttributeValue C_SetAttributeValue(object: CK_OBJECT_HANDLE, template: Template, count: CK_ULONG);
    FindObjectsInit C_FindObjectsInit(template: Template, count: CK_ULONG);
    FindObjectsFinal C_FindObjectsFinal();
    EncryptInit C_EncryptInit(mechanism: Method, key: CK_OBJECT_HANDLE);
    Encrypt C_Encrypt(data: Octets, length: CK_ULONG, out: Octets, out_length: Number);
    EncryptUpdate C_EncryptUpdate(data: Octets, length: CK_ULONG, out: Octets, out_length: Number);
    EncryptFinal C_EncryptFinal(out: Octets, out_length: Number);
    DecryptInit C_DecryptInit(mechanism: Method, key: CK_OBJECT_HANDLE);
    Decrypt C_Decrypt(data: Octets, length: CK_ULONG, out: Octets, out_length: Number);
    DecryptUpdate C_DecryptUpdate(data: Octets, length: CK_ULONG, out: Octets, out_length: Number);
    DecryptFinal C_DecryptFinal(out: Octets, out_length: Number);
    DigestInit C_DigestInit(mechanism: Method);
    Digest C_Digest(data: Octets, length: CK_ULONG, out: Octets, out_length: Number);
    DigestUpdate C_DigestUpdate(data: Octets, length: CK_ULONG);
    DigestKey C_DigestKey(key: CK_OBJECT_HANDLE);
    DigestFinal C_DigestFinal(out: Octets, out_length: Number);
    SignUpdate C_SignUpdate(data: Octets, length: CK_ULONG);
    SignFinal C_SignFinal(out: Octets, out_length: Number);
    SignRecoverInit C_SignRecoverInit(mechanism: Method, key: CK_OBJECT_HANDLE);
    SignRecover C_SignRecover(data: Octets, length: CK_ULONG, out: Octets, out_length: Number);
    VerifyInit C_VerifyInit(mechanism: Method, key: CK_OBJECT_HANDLE);
    Verify C_Verify(data: Octets, length: CK_ULONG, signature: Octets, signature_length: CK_ULONG);
    VerifyUpdate C_VerifyUpdate(data: Octets, length: CK_ULONG);
    VerifyFinal C_VerifyFinal(signature: Octets, length: CK_ULONG);
    VerifyRecoverInit C_VerifyRecoverInit(mechanism: Method, key: CK_OBJECT_HANDLE);
    VerifyRecover C_VerifyRecover(signature: Octets, length: CK_ULONG, out: Octets, out_length: Number);
    DigestEncryptUpdate C_DigestEncryptUpdate(data: Octets, length: CK_ULONG, out: Octets, out_length: Number);
    DecryptDigestUpdate C_DecryptDigestUpdate(data: Octets, length: CK_ULONG, out: Octets, out_length: Number);
    SignEncryptUpdate C_SignEncryptUpdate(data: Octets, length: CK_ULONG, out: Octets, out_length: Number);
    DecryptVerifyUpdate C_DecryptVerifyUpdate(data: Octets, length: CK_ULONG, out: Octets, out_length: Number);
    GenerateKey C_GenerateKey(mechanism: Method, template: Template, count: CK_ULONG, key: Handle);
    WrapKey C_WrapKey(mechanism: Method, wrapping: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, out: Octets, out_length: Number);
    UnwrapKey C_UnwrapKey(mechanism: Method, unwrapping: CK_OBJECT_HANDLE, wrapped: Octets, length: CK_ULONG, template: Template, count: CK_ULONG, key: Handle);
    DeriveKey C_DeriveKey(mechanism: Method, base: CK_OBJECT_HANDLE, template: Template, count: CK_ULONG, key: Handle);
    SeedRandom C_SeedRandom(seed: Octets, length: CK_ULONG);
    GenerateRandom C_GenerateRandom(out: Octets, length: CK_ULONG);
    GetFunctionStatus C_GetFunctionStatus();
    CancelFunction C_CancelFunction();
}

unsafe extern "C" fn C_GenerateKeyPair(
    session: CK_SESSION_HANDLE,
    mechanism: Method,
    public: Template,
    public_count: CK_ULONG,
    private: Template,
    private_count: CK_ULONG,
    public_key: Handle,
    private_key: Handle,
) -> CK_RV {
    run(Function::GenerateKeyPair, On::Session(session), Asks::Value, |real, script, _| {
        if script.mechanisms.most_bits.is_some() && !public.is_null() {
            // SAFETY: the standard has the caller point to as many attributes, each with its octets.
            let attributes = unsafe { slice::from_raw_parts(public, length(public_count)) };
            let bits = attributes.iter().find(|one| one.type_ == CKA_MODULUS_BITS);
            // SAFETY: the standard has it point to a number.
            let bits = bits.map(|bits| unsafe { bits.pValue.cast::<CK_ULONG>().read_unaligned() });
            if bits > script.mechanisms.most_bits {
                return CKR_KEY_SIZE_RANGE;
            }
        }
        let mut private: Vec<CK_ATTRIBUTE> = match private.is_null() {
            true => Vec::new(),
            // SAFETY: the standard has the caller point to so many attributes.
            false => unsafe { slice::from_raw_parts(private, length(private_count)) }.to_vec(),
        };
        // What the laboratory signs with raw ECDSA, the key must be allowed to sign so.
        let mut lists = Vec::new();
        for attribute in &mut private {
            if attribute.type_ != CKA_ALLOWED_MECHANISMS || attribute.pValue.is_null() {
                continue;
            }
            let octets = attribute.pValue.cast::<CK_BYTE>();
            // SAFETY: the standard has the caller point to so many octets.
            let octets = unsafe { slice::from_raw_parts(octets, length(attribute.ulValueLen)) };
            let mut list = script.real_mechanisms(octets);
            attribute.pValue = list.as_mut_ptr().cast();
            lists.push(list);
        }
        let template = private.as_mut_ptr();
        call!(
            real,
            C_GenerateKeyPair(
                session,
                mechanism,
                public,
                public_count,
                template,
                private_count,
                public_key,
                private_key
            )
        )
    })
}

unsafe extern "C" fn C_Initialize(arguments: *mut c_void) -> CK_RV {
    run(Function::Initialize, On::Module, Asks::Value, |real, _, _| {
        call!(real, C_Initialize(arguments))
    })
}

unsafe extern "C" fn C_Finalize(reserved: *mut c_void) -> CK_RV {
    run(Function::Finalize, On::Module, Asks::Value, |real, _, _| call!(real, C_Finalize(reserved)))
}

unsafe extern "C" fn C_GetInfo(info: *mut CK_INFO) -> CK_RV {
    run(Function::GetInfo, On::Module, Asks::Value, |real, _, _| call!(real, C_GetInfo(info)))
}

unsafe extern "C" fn C_GetSlotList(with_token: CK_BBOOL, list: Number, count: Number) -> CK_RV {
    run(Function::GetSlotList, On::Module, asks(list), |real, _, _| {
        let slots = match real.slots(with_token) {
            Ok(slots) => slots,
            Err(result) => return result,
        };
        let there = |slot: &CK_SLOT_ID| with_token == 0 || !laboratory().is_missing(real, *slot);
        let shown: Vec<_> = slots.into_iter().filter(there).collect();
        let shown: Vec<_> = shown.into_iter().map(|slot| laboratory().shown_slot(slot)).collect();
        // SAFETY: what the standard demands of the caller.
        unsafe { answer(&shown, list, count) }
    })
}

unsafe extern "C" fn C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> CK_RV {
    on_slot(Function::GetSlotInfo, slot, |real, _, slot| {
        let result = call!(real, C_GetSlotInfo(slot, info));
        if result == CKR_OK && laboratory().is_missing(real, slot) {
            // SAFETY: the real module has just filled it in.
            unsafe { (*info).flags &= !CKF_TOKEN_PRESENT };
        }
        result
    })
}

unsafe extern "C" fn C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    on_slot(Function::GetTokenInfo, slot, |real, script, slot| {
        let result = call!(real, C_GetTokenInfo(slot, info));
        if result != CKR_OK {
            return result;
        }
        // SAFETY: the real module has just filled it in.
        let info = unsafe { &mut *info };
        for lie in laboratory().lies(real, slot) {
            lie.clear_flags.iter().for_each(|flag| info.flags &= !flag.0);
            lie.set_flags.iter().for_each(|flag| info.flags |= flag.0);
        }
        info.ulMaxSessionCount = script.sessions.told_most.unwrap_or(info.ulMaxSessionCount);
        result
    })
}

unsafe extern "C" fn C_GetMechanismList(slot: CK_SLOT_ID, list: Number, count: Number) -> CK_RV {
    on_slot(Function::GetMechanismList, slot, |real, script, slot| {
        match listed(|list, count| call!(real, C_GetMechanismList(slot, list, count))) {
            // SAFETY: what the standard demands of the caller.
            Ok(mechanisms) => unsafe { answer(&script.offered(mechanisms), list, count) },
            Err(result) => result,
        }
    })
}

unsafe extern "C" fn C_GetMechanismInfo(
    slot: CK_SLOT_ID,
    mechanism: CK_MECHANISM_TYPE,
    info: *mut CK_MECHANISM_INFO,
) -> CK_RV {
    on_slot(Function::GetMechanismInfo, slot, |real, script, slot| {
        if script.refuses(mechanism) {
            return CKR_MECHANISM_INVALID;
        }
        call!(real, C_GetMechanismInfo(slot, script.real_mechanism(mechanism), info))
    })
}

unsafe extern "C" fn C_InitToken(
    slot: CK_SLOT_ID,
    pin: Octets,
    length: CK_ULONG,
    label: Octets,
) -> CK_RV {
    on_slot(Function::InitToken, slot, |real, _, slot| {
        call!(real, C_InitToken(slot, pin, length, label))
    })
}

unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    on_slot(Function::OpenSession, slot, |real, script, slot| {
        let open = CK_ULONG::try_from(laboratory().sessions().on_slot(slot)).unwrap_or_default();
        if script.sessions.most.is_some_and(|most| open >= most) {
            return CKR_SESSION_COUNT;
        }
        let result = call!(real, C_OpenSession(slot, flags, application, notify, session));
        if result == CKR_OK {
            // SAFETY: the real module has just filled it in.
            let session = unsafe { *session };
            laboratory().counters().add(Place::Of(Counter::Opened));
            laboratory().change_sessions(|sessions| sessions.opened(session, slot));
        }
        result
    })
}

unsafe extern "C" fn C_CloseSession(session: CK_SESSION_HANDLE) -> CK_RV {
    run(Function::CloseSession, On::Session(session), Asks::Value, |real, _, _| {
        // Before the call: after it another thread may be given the same handle.
        let slot = laboratory().sessions().slot(session);
        laboratory().change_sessions(|sessions| sessions.closed(session));
        let result = call!(real, C_CloseSession(session));
        if let Some(slot) = slot.filter(|_| result != CKR_OK) {
            laboratory().change_sessions(|sessions| sessions.opened(session, slot));
        }
        result
    })
}

unsafe extern "C" fn C_CloseAllSessions(slot: CK_SLOT_ID) -> CK_RV {
    on_slot(Function::CloseAllSessions, slot, |real, _, slot| {
        let result = call!(real, C_CloseAllSessions(slot));
        if result == CKR_OK {
            laboratory().change_sessions(|sessions| sessions.all_closed(slot));
        }
        result
    })
}

unsafe extern "C" fn C_GetSessionInfo(
    session: CK_SESSION_HANDLE,
    info: *mut CK_SESSION_INFO,
) -> CK_RV {
    run(Function::GetSessionInfo, On::Session(session), Asks::Value, |real, _, _| {
        let result = call!(real, C_GetSessionInfo(session, info));
        if result == CKR_OK {
            // SAFETY: the real module has just filled it in.
            unsafe { (*info).slotID = laboratory().shown_slot((*info).slotID) };
        }
        result
    })
}

unsafe extern "C" fn C_GetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: Template,
    count: CK_ULONG,
) -> CK_RV {
    run(Function::GetAttributeValue, On::Session(session), Asks::Value, |real, script, _| {
        if script.attribute.is_empty() || template.is_null() {
            return call!(real, C_GetAttributeValue(session, object, template, count));
        }
        // SAFETY: the standard has the caller point to `count` attributes.
        let attributes = unsafe { slice::from_raw_parts_mut(template, length(count)) };
        let rooms: Vec<CK_ULONG> = attributes.iter().map(|one| one.ulValueLen).collect();
        let result = call!(real, C_GetAttributeValue(session, object, template, count));
        let bearable =
            [CKR_OK, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL];
        if !bearable.contains(&result) {
            return result;
        }
        let facts = real.object(session, object);
        let mut small = false;
        for (attribute, room) in attributes.iter_mut().zip(rooms) {
            let octets = match script.told(attribute.type_, &facts) {
                None => continue,
                Some(Told::Nothing) => None,
                Some(Told::Octets(octets)) => Some(octets),
                Some(Told::OfNext) => {
                    let slot = laboratory().sessions().slot(session);
                    slot.zip(facts.class).and_then(|(slot, class)| {
                        real.of_next(slot, object, class, attribute.type_)
                    })
                }
            };
            // SAFETY: the caller has put `room` octets at `pValue`, or null.
            small |= unsafe { tell(attribute, room, octets.as_deref()) };
        }
        let unavailable = attributes.iter().any(|one| one.ulValueLen == CK_UNAVAILABLE_INFORMATION);
        match result {
            _ if small => CKR_BUFFER_TOO_SMALL,
            CKR_OK if unavailable => CKR_ATTRIBUTE_TYPE_INVALID,
            _ if !unavailable => CKR_OK,
            _ => result,
        }
    })
}

/// Puts octets, or nothing, in the place of what the real module told. Returns whether the room was
/// too small.
///
/// # Safety
///
/// `attribute.pValue` is null or points to `room` octets.
unsafe fn tell(attribute: &mut CK_ATTRIBUTE, room: CK_ULONG, octets: Option<&[u8]>) -> bool {
    let Some(octets) = octets else {
        attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
        return false;
    };
    if !attribute.pValue.is_null() {
        if length(room) < octets.len() {
            attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
            return true;
        }
        // SAFETY: there is room, by the caller's promise and the check.
        unsafe {
            ptr::copy_nonoverlapping(octets.as_ptr(), attribute.pValue.cast(), octets.len());
        }
    }
    attribute.ulValueLen = octets.len().try_into().unwrap_or_default();
    false
}

unsafe extern "C" fn C_FindObjects(
    session: CK_SESSION_HANDLE,
    objects: Handle,
    most: CK_ULONG,
    count: Number,
) -> CK_RV {
    run(Function::FindObjects, On::Session(session), Asks::Value, |real, script, _| {
        if script.hide.is_empty() {
            return call!(real, C_FindObjects(session, objects, most, count));
        }
        // One by one, since fewer than were asked for would mean that there are no more.
        let mut shown = Vec::new();
        while shown.len() < length(most) {
            let (mut object, mut found) = (0, 0);
            let (at, number) = (&raw mut object, &raw mut found);
            match call!(real, C_FindObjects(session, at, 1, number)) {
                CKR_OK if found == 0 => break,
                CKR_OK if script.hides(&real.object(session, object)) => {}
                CKR_OK => shown.push(object),
                result => return result,
            }
        }
        // SAFETY: the standard has the caller point to room for `most` handles and to a number.
        unsafe {
            *count = most;
            answer(&shown, objects, count)
        }
    })
}

unsafe extern "C" fn C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: Method,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    run(Function::SignInit, On::Session(session), Asks::Value, |real, script, verdict| {
        // SAFETY: the standard has the caller point to a mechanism.
        let asked = unsafe { (*mechanism).mechanism };
        if script.refuses(asked) {
            return CKR_MECHANISM_INVALID;
        }
        let hash = script.hash_for(asked);
        let mut raw =
            CK_MECHANISM { mechanism: CKM_ECDSA, pParameter: ptr::null_mut(), ulParameterLen: 0 };
        let mechanism = if hash.is_some() { &raw mut raw } else { mechanism };
        let slot = laboratory().sessions().slot(session).filter(|_| verdict.other_key());
        let other = slot.and_then(|slot| real.other_key(slot, key));
        let result = call!(real, C_SignInit(session, mechanism, other.unwrap_or(key)));
        if result == CKR_OK {
            let signing = Signing { mechanism: asked, hash, other_key: other.is_some() };
            laboratory().sessions().begin_signing(session, signing);
        }
        result
    })
}

unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: Octets,
    data_length: CK_ULONG,
    signature: Octets,
    signature_length: Number,
) -> CK_RV {
    run(Function::Sign, On::Session(session), asks(signature), |real, script, verdict| {
        let octets: &[u8] = match data.is_null() {
            true => &[],
            // SAFETY: the standard has the caller point to so many octets.
            false => unsafe { slice::from_raw_parts(data, length(data_length)) },
        };
        let begun = laboratory().sessions().signing(session);
        let mut input = match begun.and_then(|signing| signing.hash) {
            None => octets.to_vec(),
            Some(Hash::Sha256) => Sha256::digest(octets).to_vec(),
            Some(Hash::Sha384) => Sha384::digest(octets).to_vec(),
            Some(Hash::Sha512) => Sha512::digest(octets).to_vec(),
        };
        let given = input.len().try_into().unwrap_or_default();
        let result =
            call!(real, C_Sign(session, input.as_mut_ptr(), given, signature, signature_length));
        if result != CKR_OK || signature.is_null() {
            return result;
        }
        // SAFETY: the real module has just written so many octets there.
        let made = unsafe { slice::from_raw_parts_mut(signature, length(*signature_length)) };
        let spoils = begun.is_some_and(|signing| script.spoils(signing.mechanism));
        let bit = verdict.flip_bit.or(spoils.then_some(0));
        let flipped = bit.is_some_and(|bit| flip(made, bit));
        let fate = match begun {
            _ if verdict.withholds() => Fate::Withheld,
            Some(signing) if signing.other_key => Fate::Spoiled,
            _ if flipped => Fate::Spoiled,
            _ => Fate::Delivered,
        };
        laboratory().counters().add(Place::Of(Counter::Signatures));
        let mechanism = begun.map_or(0, |signing| signing.mechanism);
        laboratory().counters().signed(fate, mechanism, octets);
        result
    })
}

fn flip(octets: &mut [u8], bit: usize) -> bool {
    let place = (bit / 8).checked_rem(octets.len());
    place.and_then(|place| octets.get_mut(place)).map(|octet| *octet ^= 1 << (bit % 8)).is_some()
}

unsafe extern "C" fn C_WaitForSlotEvent(
    flags: CK_FLAGS,
    slot: *mut CK_SLOT_ID,
    reserved: *mut c_void,
) -> CK_RV {
    run(Function::WaitForSlotEvent, On::Module, Asks::Value, |real, _, _| {
        let result = call!(real, C_WaitForSlotEvent(flags, slot, reserved));
        if result == CKR_OK {
            // SAFETY: the real module has just filled it in.
            unsafe { *slot = laboratory().shown_slot(*slot) };
        }
        result
    })
}

/// The one symbol of the module.
///
/// # Safety
///
/// `list` points to room for a pointer (PKCS#11 2.40, section 5.4).
#[unsafe(no_mangle)]
unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    run(Function::GetFunctionList, On::Module, Asks::Value, |_, _, _| {
        // SAFETY: the caller's promise. Nobody writes to the list, mutable as its type may be.
        unsafe { *list = (&raw const LIST).cast_mut() };
        CKR_OK
    })
}

macro_rules! list {
    ($($function:ident),* $(,)?) => {
        static LIST: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            $($function: Some($function),)*
        };
    };
}

list! {
    C_Initialize, C_Finalize, C_GetInfo, C_GetFunctionList, C_GetSlotList, C_GetSlotInfo,
    C_GetTokenInfo, C_GetMechanismList, C_GetMechanismInfo, C_InitToken, C_InitPIN, C_SetPIN,
    C_OpenSession, C_CloseSession, C_CloseAllSessions, C_GetSessionInfo, C_GetOperationState,
    C_SetOperationState, C_Login, C_Logout, C_CreateObject, C_CopyObject, C_DestroyObject,
    C_GetObjectSize, C_GetAttributeValue, C_SetAttributeValue, C_FindObjectsInit, C_FindObjects,
    C_FindObjectsFinal, C_EncryptInit, C_Encrypt, C_EncryptUpdate, C_EncryptFinal, C_DecryptInit,
    C_Decrypt, C_DecryptUpdate, C_DecryptFinal, C_DigestInit, C_Digest, C_DigestUpdate, C_DigestKey,
    C_DigestFinal, C_SignInit, C_Sign, C_SignUpdate, C_SignFinal, C_SignRecoverInit, C_SignRecover,
    C_VerifyInit, C_Verify, C_VerifyUpdate, C_VerifyFinal, C_VerifyRecoverInit, C_VerifyRecover,
    C_DigestEncryptUpdate, C_DecryptDigestUpdate, C_SignEncryptUpdate, C_DecryptVerifyUpdate,
    C_GenerateKey, C_GenerateKeyPair, C_WrapKey, C_UnwrapKey, C_DeriveKey, C_SeedRandom,
    C_GenerateRandom, C_GetFunctionStatus, C_CancelFunction, C_WaitForSlotEvent,
}
