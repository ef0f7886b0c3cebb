# Stands in for nats.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends nats-server wget \
    && rm -rf /var/lib/apt/lists/*
CMD ["nats-server"]
