# shellcheck shell=bash
# Runs jobs in parallel: $JOBS at once, or as many as there are processors. The output of
# a job is shown as a whole when it ends. If it failed, it is shown again at the end.
# Needs say.sh.

jobs_at_once=${JOBS:-$(nproc)}
jobs_dir=                  # their output, and the temporary files of go
declare -A jobs_running=() # names, by process
declare -A jobs_began=()   # in seconds, by process
declare -A jobs_logs=()    # files with their output, by process
declare -A jobs_failed=()

# job NAME COMMAND... starts a command as soon as a processor is free.
job() {
	local name=$1 log
	shift
	[[ -n $jobs_dir ]] || jobs_dir=$(mktemp -d)
	((${#jobs_running[@]} < jobs_at_once)) || job_ends
	say "Started $name"
	log=$(mktemp "$jobs_dir/log.XXXXXX")
	set -m # the job gets a process group, which can be ended as a whole
	GOTMPDIR=$jobs_dir "$@" >"$log" 2>&1 </dev/null &
	set +m
	jobs_began[$!]=$SECONDS
	jobs_logs[$!]=$log
	jobs_running[$!]=$name
}

# job_ends waits until one job ends.
job_ends() {
	local process status=0
	wait -n -p process "${!jobs_running[@]}" || status=$?
	cat "${jobs_logs[$process]}"
	say "Ended ${jobs_running[$process]} after $(minutes $((SECONDS - jobs_began[$process])))"
	((status == 0)) || jobs_failed[$process]=${jobs_running[$process]}
	unset "jobs_running[$process]"
}

# jobs_end waits until all jobs end.
jobs_end() {
	local process
	while ((${#jobs_running[@]} > 0)); do
		job_ends
	done
	for process in "${!jobs_failed[@]}"; do
		heading "Failed: ${jobs_failed[$process]}"
		cat "${jobs_logs[$process]}"
	done
	((${#jobs_failed[@]} == 0)) || die "failed: ${jobs_failed[*]}"
}

# jobs_stop ends the running jobs and everything that they started.
jobs_stop() {
	local process
	for process in "${!jobs_running[@]}"; do
		kill -KILL -- "-$process" 2>/dev/null || true
		wait "$process" 2>/dev/null || true
	done
	jobs_running=()
	[[ -z $jobs_dir ]] || rm -rf "$jobs_dir"
	jobs_dir=
}
