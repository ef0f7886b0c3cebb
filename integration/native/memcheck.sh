# shellcheck shell=bash
# Tests under valgrind, which sees what is read before it was written, what is used after it was freed, and what nobody
# can free any more. It does so for C and Rust alike.

# memcheck [NAME...]: tests with these in their names, else those that reach each function of src/kafka/native.rs, on
# the mock cluster in their own process.
memcheck() {
  local names=("$@") options runner
  ((${#names[@]})) || names=(headers::a_hostile_message failures::returned::a_record_of
    failures::returned::a_record_that_is_reported metrics::the_lag batches::a_batch_is_full consumers::)
  # Valgrind lets one thread run at a time, which is to be each in its turn.
  local -x RUST_TEST_THREADS=1
  options=(--quiet --fair-sched=try --error-exitcode=99 --num-callers=40 "--suppressions=$here/native/memcheck.supp"
    --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite)
  printf -v runner "'%s'," valgrind "${options[@]}"
  under_valgrind() { cargo --config "target.'cfg(all())'.runner=[${runner%,}]" test "$@"; }
  under_valgrind -p otel-messaging --lib --features full -- kafka::carrier || return
  under_valgrind -p integration --test kafka -- "${names[@]}"
}
