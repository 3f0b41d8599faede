"""The files in completion/, and stand-ins that print what a pool's tools would print."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "completion"
HOSTILE = "annexd@$(touch${IFS}$PWNED)"
ANNEXES = [{"AnnexID": "annex-1", "AnnexName": "physics"}, {"AnnexID": "`touch $PWNED`"}]
TOOLS = {
    "condor_annex": f"cat <<'END'\n{json.dumps(ANNEXES, indent=2)}\nEND",
    "condor_status": f"echo annexd@vm.example.org; echo '{HOSTILE}'",
}
