# Stands in for rabbitmq.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends rabbitmq-server \
    && rm -rf /var/lib/apt/lists/*
ENV RABBITMQ_LOGS=-
USER rabbitmq
CMD ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
