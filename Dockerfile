# syntax=docker/dockerfile:1
# One static-enough binary on a distroless base: no shell, no package manager, a user that is not root.
#   docker build -t jumeau .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges -v jumeau-data:/data -p 8080:8080 \
#     -v ./my.toml:/config/my.toml:ro jumeau serve --config /config/my.toml --listen 0.0.0.0:8080 --data /data
# Callers need tokens (docs/integration/ehr.md); to try it without, -e JUMEAU__AUTH__REQUIRED=false and no command.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin jumeau && strip -o /jumeau target/release/jumeau && mkdir /empty

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /jumeau /usr/local/bin/jumeau
COPY --from=build /src/models /models
COPY --from=build /src/config /config
# An empty folder owned by the user, so that a fresh volume is writable.
COPY --from=build --chown=65532:65532 /empty /data
USER 65532:65532
# Twins mounted below /models turn up as services after a restart.
ENV JUMEAU__MODELS__FOLDER=/models
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s CMD ["/usr/local/bin/jumeau", "health", "--address", "127.0.0.1:8080"]
ENTRYPOINT ["/usr/local/bin/jumeau"]
CMD ["serve", "--listen", "0.0.0.0:8080", "--data", "/data"]
