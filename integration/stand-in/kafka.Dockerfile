# Stands in for apache/kafka: the same jars in the same place, which read the same mounts and variables.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*
COPY kafka-libs /opt/kafka/libs
COPY kafka-run /etc/kafka/docker/run
# The image's own program of set-up asks for these two, and their contents do not matter.
RUN mkdir -p /mnt/shared/config /opt/kafka/config /var/lib/kafka/data \
    && echo 'Configuration:' | tee /etc/kafka/docker/log4j2.yaml >/etc/kafka/docker/tools-log4j2.yaml
CMD ["/etc/kafka/docker/run"]
