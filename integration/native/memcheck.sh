# shellcheck shell=bash
# Tests under valgrind, which sees what is read before it was written, what is used after it was freed, and what nobody
# can free any more. It does so for C and Rust alike.

# memcheck [NAME...]: tests with these in their names, else those that reach each function of src/kafka/native.rs, on
# the mock cluster in their own process.
memcheck() {
  local names=("$@") own=(kafka::carrier kafka::native) options runner
  ((${#names[@]})) || names=(headers::a_hostile_message failures::returned::a_record_of
    failures::returned::a_record_that_is_reported metrics::the_lag batches::a_batch_is_full consumers::)
  # Valgrind lets one thread run at a time, which is to be each in its turn.
  local -x RUST_TEST_THREADS=1
  options=(--quiet --fair-sched=try --error-exitcode=99 --num-callers=40 "--suppressions=$here/native/memcheck.supp"
    --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite)
  printf -v runner "'%s'," valgrind "${options[@]}"
  under_valgrind() { cargo --config "target.'cfg(all())'.runner=[${runner%,}]" test "$@"; }
  each_is_there "${own[@]}" -- -p otel-messaging --lib --features full || return
  each_is_there "${names[@]}" -- -p integration --test kafka || return
  under_valgrind -p otel-messaging --lib --features full -- "${own[@]}" || return
  under_valgrind -p integration --test kafka -- "${names[@]}"
}

# each_is_there NAME... -- ARGUMENT...: whether each name is in that of a test which cargo test with these arguments
# would run. The harness itself runs nothing then, and is content.
each_is_there() {
  local names=() listed name
  while [[ $1 != -- ]]; do
    names+=("$1")
    shift
  done
  shift
  listed=$(cargo test "$@" -- --list) || return
  listed=$(sed -n 's/: test$//p' <<<"$listed")
  for name in "${names[@]}"; do
    [[ $listed == *"$name"* ]] || { echo "memcheck: no test has '$name' in its name"; return 1; }
  done
}
