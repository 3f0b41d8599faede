# Completion of condor_annex for bash; completion/generate writes this file.

_condor_annex_annexes() {
    condor_annex -status -json -timeout 5 2>/dev/null |
    sed -n 's/^ *"Annex\(ID\|Name\)": "\(.*\)",\{0,1\}$/\2/p' | grep -x '[A-Za-z0-9._@:+-]*'
}

_condor_annex_daemons() {
    condor_status -subsystem Annexd -af Name 2>/dev/null | grep -x '[A-Za-z0-9._@:+-]*'
}

_condor_annex_profiles() {
    sed -n 's/^ *\[\(profile  *\)\{0,1\}\([^] ]*\)\] *$/\2/p' "${AWS_CONFIG_FILE:-$HOME/.aws/config}" "${AWS_SHARED_CREDENTIALS_FILE:-$HOME/.aws/credentials}" 2>/dev/null | grep -x '[A-Za-z0-9._@:+-]*'
}

_condor_annex() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    case ${before/#--/-} in
    -save | -access-key-file | -public-key-file | -secret-key-file | -private-key-file | -session-token-file | -user-data-file | -default-user-data-file | -output | -config-file) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    -config-dir) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
    -name) mapfile -t COMPREPLY < <(compgen -W "$(_condor_annex_daemons)" -- "$word") ;;
    -profile) mapfile -t COMPREPLY < <(compgen -W "$(_condor_annex_profiles)" -- "$word") ;;
    -cancel) mapfile -t COMPREPLY < <(compgen -W "$(_condor_annex_annexes)" -- "$word") ;;
    -lease-duration | -lease-function-arn | -count | -instance-type | -cpus | -memory | -gpus | -image | -max-price | -key-name | -volume-size | -user-data | -default-user-data | -fleet-api | -annex-name | -owner | -idle | -pool | -service-url | -events-url | -lambda-url | -logs-url | -s3-url | -sts-url | -ssm-url | -s3-bucket | -extend | -until | -resize | -wait | -since | -limit | -by | -why | -pause | -resume | -region | -stack-name | -max-lease | -vpc | -subnet | -timeout | -command-id) COMPREPLY=() ;;
    *) _condor_annex_words "$word" ;;
    esac
}

_condor_annex_words() {
    case $1 in
    -*) mapfile -t COMPREPLY < <(compgen -W "-lease-duration -lease-function-arn -count -instance-type -cpus -memory -gpus -image -spot -on-demand -max-price -key-name -volume-size -save -access-key-file -public-key-file -secret-key-file -private-key-file -session-token-file -profile -user-data -user-data-file -default-user-data -default-user-data-file -fleet-api -annex-name -owner -no-owner -idle -config-dir -no-join -pool -name -service-url -events-url -lambda-url -logs-url -s3-url -sts-url -ssm-url -s3-bucket -cancel -extend -until -resize -now -forcex -wait -quote -dry-run -yes -status -wide -watch -history -since -limit -by -csv -budget -offers -demand -why -pause -resume -metrics -demand-config -setup -check-setup -teardown -region -stack-name -max-lease -cut-leases -vpc -subnet -timeout -output -config-file -json -command-id -debug -help -version" -- "${1/#--/-}") ;;
    *)
        if [[ " ${COMP_WORDS[*]} " =~ ' '--?(status|history|extend|until|resize)' ' ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$(_condor_annex_annexes)" -- "$1")
        else
            mapfile -t COMPREPLY < <(compgen -f -- "$1")
        fi
        ;;
    esac
}

complete -o filenames -F _condor_annex condor_annex
