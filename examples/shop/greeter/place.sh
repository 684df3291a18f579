# Read by the other scripts: the file in which this deployment publishes its greeting.
# A deployment's name may have slashes.
file=$INPUT_run_dir/$(printf '%s-%s' "$INPUT_environment" "$INPUT_deployment" | tr -c 'A-Za-z0-9_-' _).greeting
