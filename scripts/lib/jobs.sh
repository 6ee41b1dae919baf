# shellcheck shell=bash
# Runs jobs in parallel: $JOBS at once, or as many as there are processors. The output of
# a job is shown as a whole when it ends. If it failed, it is shown again at the end.
# A job that may fail by chance, because of what runs next to it, gets a second try.
# Needs say.sh.

jobs_at_once=${JOBS:-$(nproc)}
jobs_dir=                  # their output, and the temporary files of go
declare -A jobs_running=() # names, by process
declare -A jobs_began=()   # in seconds, by process
declare -A jobs_logs=()    # files with their output, by process
declare -A jobs_failed=()
declare -A jobs_light=() # that take no processor's place, by process
declare -A jobs_commands=() # of jobs with a second try, quoted, by process
jobs_by_chance=()           # names of jobs whose second try passed

# job [--second-try] [--light] NAME COMMAND... starts a command as soon as a processor is
# free, or at once if it is light: it waits more than it works.
job() {
	local name log second_try='' light=''
	if [[ $1 == --second-try ]]; then
		second_try=yes
		shift
	fi
	if [[ $1 == --light ]]; then
		light=yes
		shift
	fi
	name=$1
	shift
	[[ -n $jobs_dir ]] || jobs_dir=$(mktemp -d)
	while [[ -z $light ]] && ((${#jobs_running[@]} >= jobs_at_once + ${#jobs_light[@]})); do
		job_ends
	done
	say "Started $name"
	log=$(mktemp "$jobs_dir/log.XXXXXX")
	set -m # the job gets a process group, which can be ended as a whole
	GOTMPDIR=$jobs_dir "$@" >"$log" 2>&1 </dev/null &
	set +m
	jobs_began[$!]=$SECONDS
	jobs_logs[$!]=$log
	jobs_running[$!]=$name
	[[ -z $light ]] || jobs_light[$!]=yes
	[[ -z $second_try ]] || jobs_commands[$!]=${*@Q}
}

# job_ends waits until one job ends.
job_ends() {
	local process status=0
	wait -n -p process "${!jobs_running[@]}" || status=$?
	cat "${jobs_logs[$process]}"
	say "Ended ${jobs_running[$process]} after $(minutes $((SECONDS - jobs_began[$process])))"
	((status == 0)) || jobs_failed[$process]=${jobs_running[$process]}
	unset "jobs_running[$process]" "jobs_light[$process]"
}

# jobs_end waits until all jobs end.
jobs_end() {
	local process
	while ((${#jobs_running[@]} > 0)); do
		job_ends
	done
	for process in "${!jobs_failed[@]}"; do
		[[ -z ${jobs_commands[$process]-} ]] || job_again "$process"
	done
	for process in "${!jobs_failed[@]}"; do
		heading "Failed: ${jobs_failed[$process]}"
		cat "${jobs_logs[$process]}"
	done
	((${#jobs_failed[@]} == 0)) || die "failed: ${jobs_failed[*]}"
}

# job_again runs a failed job a second time, alone.
job_again() {
	local name=${jobs_failed[$1]} second both
	unset "jobs_failed[$1]"
	heading "Failed, and runs again, alone: $name"
	eval "job ${name@Q} ${jobs_commands[$1]}"
	second=$!
	job_ends
	if [[ -z ${jobs_failed[$second]-} ]]; then
		heading "Failed once, and passed when run again: $name"
		jobs_by_chance+=("$name")
	else
		jobs_failed[$second]="$name, twice"
		both=$(mktemp "$jobs_dir/log.XXXXXX")
		{
			cat "${jobs_logs[$1]}"
			say "The second time:"
			cat "${jobs_logs[$second]}"
		} >"$both"
		jobs_logs[$second]=$both
	fi
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
