# Read by deploy.sh and destroy.sh: where this deployment's process lives, and how to stop one.

# A deployment's name may have slashes.
dir=$INPUT_run_dir/$(printf '%s-%s' "$INPUT_environment" "$INPUT_deployment" | tr -c 'A-Za-z0-9_-' _)

# ours <pid>: that process runs and is a storefront of this folder. Process ids are given out again.
ours() {
	kill -0 "$1" 2>/dev/null || return 1
	[ ! -e "/proc/$1/exe" ] || case $(readlink "/proc/$1/exe") in
	"$dir"/*) return 0 ;;
	*) return 1 ;;
	esac
}

# stop <pid>: asks it to end, and kills it when it has not after five seconds.
stop() {
	ours "$1" || return 0
	kill -TERM "$1"
	tries=0
	while ours "$1"; do
		tries=$((tries + 1))
		if [ "$tries" -gt 100 ]; then
			kill -KILL "$1"
			break
		fi
		sleep 0.05
	done
}
