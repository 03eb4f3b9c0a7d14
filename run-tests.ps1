# What the Makefile's targets do, for Windows without make:
#   .\run-tests.ps1 test | test-unit | test-integration | test-e2e | test-chaos | test-local
#                   test-full-system | lint | run | up | down | bench | backup
# The embedded servers (run, test-integration) need Linux or macOS: on Windows use WSL2 for them,
# or set CDB_TEST_CONTAINERS=1 to let the integration tests use Docker Desktop.
param(
    [Parameter(Position = 0)] [string] $Target = "test",
    [Parameter(ValueFromRemainingArguments = $true)] [string[]] $Rest = @()
)
$ErrorActionPreference = "Stop"
Set-Location $PSScriptRoot
$python = Join-Path ".venv" "Scripts\python.exe"
$ready = Join-Path ".venv" ".ready"

function Invoke-Checked([string[]] $Command) {
    $program, $arguments = $Command
    & $program @arguments
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
}

if (-not (Test-Path $ready)) {
    if (-not (Test-Path $python)) { Invoke-Checked @("py", "-3", "-m", "venv", ".venv") }
    Invoke-Checked @($python, "-m", "pip", "install", "--quiet", "-r", "requirements-dev.txt")
    Invoke-Checked @($python, "-m", "pip", "install", "--quiet", "--no-deps", "--editable", ".")
    New-Item -ItemType File $ready | Out-Null
}

$pytest = @($python, "-m", "pytest")
$claire = @($python, "-m", "services.cli.main")
switch ($Target) {
    "test" { Invoke-Checked ($pytest + @("-m", "not e2e and not local_only") + $Rest) }
    "test-unit" { Invoke-Checked ($pytest + @("-m", "unit") + $Rest) }
    "test-integration" { Invoke-Checked ($pytest + @("-m", "integration and not local_only") + $Rest) }
    "test-e2e" { Invoke-Checked ($pytest + @("-m", "e2e and not slow") + $Rest) }
    "test-chaos" {
        $env:CDB_CHAOS = "all"
        if (-not $env:CDB_CHAOS_KILLS) { $env:CDB_CHAOS_KILLS = "100" }
        Invoke-Checked ($pytest + @("tests/e2e/chaos") + $Rest)
    }
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
    default { Write-Error "unknown target '$Target'; see the first lines of this file"; exit 2 }
}
