# One image for the six application services and the claire command.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
# Without pip of its own: nothing can be installed into it in the final stage.
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --only-binary :all: -r requirements.txt
# Only what the claire command is declared by: a change of the code reuses this layer.
COPY pyproject.toml .
COPY services/__init__.py services/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --no-deps --editable .
COPY services services
COPY backoffice backoffice
COPY scenarios scenarios
COPY .env.example .
# The root filesystem is read-only at run time, so bytecode is written now.
RUN rm -r *.egg-info && python -m compileall -q services

FROM python:3.11-slim-bookworm
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.11/ensurepip \
        /usr/local/lib/python3.11/site-packages/* \
    && groupadd --gid 10001 claire \
    && useradd --uid 10001 --gid claire --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin claire \
    && install --directory --owner=claire --group=claire /recordings /cache
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
CMD ["claire", "--help"]
