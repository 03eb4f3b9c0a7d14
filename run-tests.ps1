# What the Makefile's targets do, for Windows without make:
#   .\run-tests.ps1 test | test-unit | test-integration | test-e2e | test-chaos | test-bench
#                   test-local | test-full-system | lint | run | up | down | bench | backup
# The embedded servers (run, test-integration) need Linux or macOS: on Windows use WSL2 for them,
# or set CDB_TEST_CONTAINERS=1 to let the integration tests use Docker Desktop.
param(
    [Parameter(Position = 0)] [string] $Target = "test",
    [Parameter(ValueFromRemainingArguments = $true)] [string[]] $Rest = @()
)
$ErrorActionPreference = "Stop"
Set-Location $PSScriptRoot
$python = Join-Path ".venv" "Scripts\python.exe"

# What each target needs: nothing of Python, the running system, or the tools of development too.
$needs = @{
    "up" = "requirements.txt"; "down" = "requirements.txt"; "run" = "requirements-dev.txt"
    "test" = "requirements-dev.txt"; "test-unit" = "requirements-dev.txt"
    "test-integration" = "requirements-dev.txt"; "test-e2e" = "requirements-dev.txt"
    "test-chaos" = "requirements-dev.txt"; "test-bench" = "requirements-dev.txt"
    "test-local" = "requirements-dev.txt"; "test-full-system" = "requirements-dev.txt"
    "lint" = "requirements-dev.txt"; "bench" = "requirements-dev.txt"; "backup" = $null
}
if (-not $needs.ContainsKey($Target)) {
    Write-Error "unknown target '$Target'; see the first lines of this file" -ErrorAction Continue
    exit 2
}

function Invoke-Checked([string[]] $Command) {
    $program, $arguments = $Command
    & $program @arguments
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
}

function Test-Installed([string] $Requirements) {
    # Older than a file that it was made from is as good as missing.
    $mark = Join-Path ".venv" ".ready-$Requirements"
    if (-not (Test-Path $mark)) { return $false }
    $made = (Get-Item $mark).LastWriteTimeUtc
    foreach ($source in @("requirements.txt", $Requirements, "pyproject.toml")) {
        if ((Get-Item $source).LastWriteTimeUtc -gt $made) { return $false }
    }
    return $true
}

$requirements = $needs[$Target]
if ($requirements -and -not (Test-Installed $requirements)) {
    if (-not (Test-Path $python)) { Invoke-Checked @("py", "-3", "-m", "venv", ".venv") }
    Invoke-Checked @($python, "-m", "pip", "install", "--quiet", "-r", $requirements)
    Invoke-Checked @($python, "-m", "pip", "install", "--quiet", "--no-deps", "--editable", ".")
    New-Item -ItemType File -Force (Join-Path ".venv" ".ready-$requirements") | Out-Null
}

$pytest = @($python, "-m", "pytest")
$claire = @($python, "-m", "services.cli.main")
switch ($Target) {
    "test" {
        $fast = "not e2e and not bench and not local_only"
        Invoke-Checked ($pytest + @("-m", $fast, "-n", "4", "--dist", "loadfile", "--no-loadscope-reorder") + $Rest)
    }
    "test-unit" { Invoke-Checked ($pytest + @("-m", "unit") + $Rest) }
    "test-integration" { Invoke-Checked ($pytest + @("-m", "integration and not local_only") + $Rest) }
    "test-e2e" { Invoke-Checked ($pytest + @("-m", "e2e and not slow") + $Rest) }
    "test-chaos" {
        $env:CDB_CHAOS = "all"
        if (-not $env:CDB_CHAOS_KILLS) { $env:CDB_CHAOS_KILLS = "100" }
        Invoke-Checked ($pytest + @("tests/e2e/chaos") + $Rest)
    }
    "test-bench" { Invoke-Checked ($pytest + @("-m", "bench") + $Rest) }
    "test-local" { Invoke-Checked ($pytest + @("-m", "local_only") + $Rest) }
    "test-full-system" { Invoke-Checked ($pytest + $Rest) }
    "lint" {
        Invoke-Checked @($python, "-m", "ruff", "check", ".")
        Invoke-Checked @($python, "-m", "ruff", "format", "--check", ".")
        Invoke-Checked @($python, "-m", "mypy")
        Invoke-Checked @((Join-Path ".venv" "Scripts\lint-imports.exe"))
    }
    "run" { Invoke-Checked ($claire + @("run-paper", "--fresh", "--source", "synthetic", "--speed", "60") + $Rest) }
    "up" { Invoke-Checked ($claire + @("up") + $Rest) }
    "down" { Invoke-Checked ($claire + @("down") + $Rest) }
    "bench" { Invoke-Checked ($claire + @("bench", "pipeline") + $Rest) }
    "backup" {
        New-Item -ItemType Directory -Force backups | Out-Null
        $name = "claire_de_binare-" + (Get-Date).ToUniversalTime().ToString("yyyyMMddTHHmmssZ") + ".dump"
        # Through cmd: PowerShell would re-encode a binary pipe.
        Invoke-Checked @("cmd", "/c", "docker compose exec -T cdb_postgres pg_dump -U claire_user -Fc claire_de_binare > backups\$name")
    }
}
