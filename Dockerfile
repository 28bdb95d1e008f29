# skep as an image: build with `docker build --tag skep .`
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package skep

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --home-dir /var/lib/skep skep
COPY --from=build /src/target/release/skep /usr/local/bin/skep
USER skep
WORKDIR /var/lib/skep
ENTRYPOINT ["skep"]
CMD ["serve", "--config", "/etc/skep/skep.toml"]
