//! What the hsm room does when its device fails, by the laboratory (tests/laboratory): every result of
//! every call, PINs that must not be tried, keys that are told wrongly, sessions that are lost.

mod faulty;
mod fixture;
mod hangs;
mod judge;
mod keys;
mod loading;
mod matrix;
mod measuring;
mod page;
mod pins;
mod preparing;
mod probe;
mod profiled;
mod rows;
mod sessions;
mod standby;
mod starts;
