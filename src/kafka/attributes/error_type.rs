//! `error.type` of the errors that librdkafka reports.

use std::any::Any;
use std::error::Error;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::OwnedMessage;

use crate::semconv::outcome::{OTHER, known};

/// `error.type` of a client error: the error's name in Kafka's protocol.
///
/// Errors that no broker sent, but librdkafka found itself, have librdkafka's own names; these begin
/// with `_`, `_MSG_TIMED_OUT` for instance. A local error that means the same as one of the
/// protocol has the protocol's name. What neither knows is `_OTHER`.
///
/// Spec: [Kafka § Kafka spans], `error.type`.
///
/// [Kafka § Kafka spans]: https://github.com/open-telemetry/semantic-conventions/blob/v1.45.0/docs/messaging/kafka.md#kafka-spans
pub(in crate::kafka) fn error_type(error: &KafkaError) -> &'static str {
    error.rdkafka_error_code().map_or(OTHER, name)
}

/// Finds a client's error, alone or with the message that it gives back.
pub(super) fn known_error(value: &dyn Any) -> Option<&(dyn Error + 'static)> {
    let given_back = value.downcast_ref::<(KafkaError, OwnedMessage)>();
    known::<KafkaError>(value).or_else(|| Some(&given_back?.0))
}

const fn name(code: Code) -> &'static str {
    match code {
        Code::BadMessage => "_BAD_MSG",
        Code::BadCompression => "_BAD_COMPRESSION",
        Code::BrokerDestroy => "_DESTROY",
        Code::Fail => "_FAIL",
        Code::BrokerTransportFailure => "_TRANSPORT",
        Code::CriticalSystemResource => "_CRIT_SYS_RESOURCE",
        Code::Resolve => "_RESOLVE",
        Code::MessageTimedOut => "_MSG_TIMED_OUT",
        Code::PartitionEOF => "_PARTITION_EOF",
        Code::UnknownPartition | Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            "UNKNOWN_TOPIC_OR_PARTITION"
        }
        Code::FileSystem => "_FS",
        Code::AllBrokersDown => "_ALL_BROKERS_DOWN",
        Code::InvalidArgument => "_INVALID_ARG",
        Code::OperationTimedOut => "_TIMED_OUT",
        Code::QueueFull => "_QUEUE_FULL",
        Code::ISRInsufficient => "_ISR_INSUFF",
        Code::NodeUpdate => "_NODE_UPDATE",
        Code::SSL => "_SSL",
        Code::WaitingForCoordinator => "_WAIT_COORD",
        Code::UnknownGroup => "_UNKNOWN_GROUP",
        Code::InProgress => "_IN_PROGRESS",
        Code::PreviousInProgress => "_PREV_IN_PROGRESS",
        Code::ExistingSubscription => "_EXISTING_SUBSCRIPTION",
        Code::AssignPartitions => "_ASSIGN_PARTITIONS",
        Code::RevokePartitions => "_REVOKE_PARTITIONS",
        Code::Conflict => "_CONFLICT",
        Code::State => "_STATE",
        Code::UnknownProtocol => "_UNKNOWN_PROTOCOL",
        Code::NotImplemented => "_NOT_IMPLEMENTED",
        Code::Authentication => "_AUTHENTICATION",
        Code::NoOffset => "_NO_OFFSET",
        Code::Outdated => "_OUTDATED",
        Code::TimedOutQueue => "_TIMED_OUT_QUEUE",
        Code::UnsupportedFeature => "_UNSUPPORTED_FEATURE",
        Code::WaitCache => "_WAIT_CACHE",
        Code::Interrupted => "_INTR",
        Code::KeySerialization => "_KEY_SERIALIZATION",
        Code::ValueSerialization => "_VALUE_SERIALIZATION",
        Code::KeyDeserialization => "_KEY_DESERIALIZATION",
        Code::ValueDeserialization => "_VALUE_DESERIALIZATION",
        Code::Partial => "_PARTIAL",
        Code::ReadOnly => "_READ_ONLY",
        Code::NoEnt => "_NOENT",
        Code::Underflow => "_UNDERFLOW",
        Code::InvalidType => "_INVALID_TYPE",
        Code::Retry => "_RETRY",
        Code::PurgeQueue => "_PURGE_QUEUE",
        Code::PurgeInflight => "_PURGE_INFLIGHT",
        Code::Fatal => "_FATAL",
        Code::Inconsistent => "_INCONSISTENT",
        Code::GaplessGuarantee => "_GAPLESS_GUARANTEE",
        Code::PollExceeded => "_MAX_POLL_EXCEEDED",
        Code::UnknownBroker => "_UNKNOWN_BROKER",
        Code::NotConfigured => "_NOT_CONFIGURED",
        Code::Fenced => "_FENCED",
        Code::Application => "_APPLICATION",
        Code::AssignmentLost => "_ASSIGNMENT_LOST",
        Code::Noop => "_NOOP",
        Code::AutoOffsetReset => "_AUTO_OFFSET_RESET",
        Code::LogTruncation => "_LOG_TRUNCATION",
        Code::InvalidDifferentRecord => "_INVALID_DIFFERENT_RECORD",
        Code::DestroyBroker => "_DESTROY_BROKER",
        Code::Unknown => "UNKNOWN_SERVER_ERROR",
        Code::OffsetOutOfRange => "OFFSET_OUT_OF_RANGE",
        Code::InvalidMessage => "CORRUPT_MESSAGE",
        Code::InvalidMessageSize => "INVALID_FETCH_SIZE",
        Code::LeaderNotAvailable => "LEADER_NOT_AVAILABLE",
        Code::NotLeaderForPartition => "NOT_LEADER_OR_FOLLOWER",
        Code::RequestTimedOut => "REQUEST_TIMED_OUT",
        Code::BrokerNotAvailable => "BROKER_NOT_AVAILABLE",
        Code::ReplicaNotAvailable => "REPLICA_NOT_AVAILABLE",
        Code::MessageSizeTooLarge => "MESSAGE_TOO_LARGE",
        Code::StaleControllerEpoch => "STALE_CONTROLLER_EPOCH",
        Code::OffsetMetadataTooLarge => "OFFSET_METADATA_TOO_LARGE",
        Code::NetworkException => "NETWORK_EXCEPTION",
        Code::CoordinatorLoadInProgress => "COORDINATOR_LOAD_IN_PROGRESS",
        Code::CoordinatorNotAvailable => "COORDINATOR_NOT_AVAILABLE",
        Code::NotCoordinator => "NOT_COORDINATOR",
        Code::InvalidTopic => "INVALID_TOPIC_EXCEPTION",
        Code::MessageBatchTooLarge => "RECORD_LIST_TOO_LARGE",
        Code::NotEnoughReplicas => "NOT_ENOUGH_REPLICAS",
        Code::NotEnoughReplicasAfterAppend => "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        Code::InvalidRequiredAcks => "INVALID_REQUIRED_ACKS",
        Code::IllegalGeneration => "ILLEGAL_GENERATION",
        Code::InconsistentGroupProtocol => "INCONSISTENT_GROUP_PROTOCOL",
        Code::InvalidGroupId => "INVALID_GROUP_ID",
        Code::UnknownMemberId => "UNKNOWN_MEMBER_ID",
        Code::InvalidSessionTimeout => "INVALID_SESSION_TIMEOUT",
        Code::RebalanceInProgress => "REBALANCE_IN_PROGRESS",
        Code::InvalidCommitOffsetSize => "INVALID_COMMIT_OFFSET_SIZE",
        Code::TopicAuthorizationFailed => "TOPIC_AUTHORIZATION_FAILED",
        Code::GroupAuthorizationFailed => "GROUP_AUTHORIZATION_FAILED",
        Code::ClusterAuthorizationFailed => "CLUSTER_AUTHORIZATION_FAILED",
        Code::InvalidTimestamp => "INVALID_TIMESTAMP",
        Code::UnsupportedSASLMechanism => "UNSUPPORTED_SASL_MECHANISM",
        Code::IllegalSASLState => "ILLEGAL_SASL_STATE",
        Code::UnsupportedVersion => "UNSUPPORTED_VERSION",
        Code::TopicAlreadyExists => "TOPIC_ALREADY_EXISTS",
        Code::InvalidPartitions => "INVALID_PARTITIONS",
        Code::InvalidReplicationFactor => "INVALID_REPLICATION_FACTOR",
        Code::InvalidReplicaAssignment => "INVALID_REPLICA_ASSIGNMENT",
        Code::InvalidConfig => "INVALID_CONFIG",
        Code::NotController => "NOT_CONTROLLER",
        Code::InvalidRequest => "INVALID_REQUEST",
        Code::UnsupportedForMessageFormat => "UNSUPPORTED_FOR_MESSAGE_FORMAT",
        Code::PolicyViolation => "POLICY_VIOLATION",
        Code::OutOfOrderSequenceNumber => "OUT_OF_ORDER_SEQUENCE_NUMBER",
        Code::DuplicateSequenceNumber => "DUPLICATE_SEQUENCE_NUMBER",
        Code::InvalidProducerEpoch => "INVALID_PRODUCER_EPOCH",
        Code::InvalidTransactionalState => "INVALID_TXN_STATE",
        Code::InvalidProducerIdMapping => "INVALID_PRODUCER_ID_MAPPING",
        Code::InvalidTransactionTimeout => "INVALID_TRANSACTION_TIMEOUT",
        Code::ConcurrentTransactions => "CONCURRENT_TRANSACTIONS",
        Code::TransactionCoordinatorFenced => "TRANSACTION_COORDINATOR_FENCED",
        Code::TransactionalIdAuthorizationFailed => "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
        Code::SecurityDisabled => "SECURITY_DISABLED",
        Code::OperationNotAttempted => "OPERATION_NOT_ATTEMPTED",
        Code::KafkaStorageError => "KAFKA_STORAGE_ERROR",
        Code::LogDirNotFound => "LOG_DIR_NOT_FOUND",
        Code::SaslAuthenticationFailed => "SASL_AUTHENTICATION_FAILED",
        Code::UnknownProducerId => "UNKNOWN_PRODUCER_ID",
        Code::ReassignmentInProgress => "REASSIGNMENT_IN_PROGRESS",
        Code::DelegationTokenAuthDisabled => "DELEGATION_TOKEN_AUTH_DISABLED",
        Code::DelegationTokenNotFound => "DELEGATION_TOKEN_NOT_FOUND",
        Code::DelegationTokenOwnerMismatch => "DELEGATION_TOKEN_OWNER_MISMATCH",
        Code::DelegationTokenRequestNotAllowed => "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
        Code::DelegationTokenAuthorizationFailed => "DELEGATION_TOKEN_AUTHORIZATION_FAILED",
        Code::DelegationTokenExpired => "DELEGATION_TOKEN_EXPIRED",
        Code::InvalidPrincipalType => "INVALID_PRINCIPAL_TYPE",
        Code::NonEmptyGroup => "NON_EMPTY_GROUP",
        Code::GroupIdNotFound => "GROUP_ID_NOT_FOUND",
        Code::FetchSessionIdNotFound => "FETCH_SESSION_ID_NOT_FOUND",
        Code::InvalidFetchSessionEpoch => "INVALID_FETCH_SESSION_EPOCH",
        Code::ListenerNotFound => "LISTENER_NOT_FOUND",
        Code::TopicDeletionDisabled => "TOPIC_DELETION_DISABLED",
        Code::FencedLeaderEpoch => "FENCED_LEADER_EPOCH",
        Code::UnknownLeaderEpoch => "UNKNOWN_LEADER_EPOCH",
        Code::UnsupportedCompressionType => "UNSUPPORTED_COMPRESSION_TYPE",
        Code::StaleBrokerEpoch => "STALE_BROKER_EPOCH",
        Code::OffsetNotAvailable => "OFFSET_NOT_AVAILABLE",
        Code::MemberIdRequired => "MEMBER_ID_REQUIRED",
        Code::PreferredLeaderNotAvailable => "PREFERRED_LEADER_NOT_AVAILABLE",
        Code::GroupMaxSizeReached => "GROUP_MAX_SIZE_REACHED",
        Code::FencedInstanceId => "FENCED_INSTANCE_ID",
        Code::EligibleLeadersNotAvailable => "ELIGIBLE_LEADERS_NOT_AVAILABLE",
        Code::ElectionNotNeeded => "ELECTION_NOT_NEEDED",
        Code::NoReassignmentInProgress => "NO_REASSIGNMENT_IN_PROGRESS",
        Code::GroupSubscribedToTopic => "GROUP_SUBSCRIBED_TO_TOPIC",
        Code::InvalidRecord => "INVALID_RECORD",
        Code::UnstableOffsetCommit => "UNSTABLE_OFFSET_COMMIT",
        Code::ThrottlingQuotaExceeded => "THROTTLING_QUOTA_EXCEEDED",
        Code::ProducerFenced => "PRODUCER_FENCED",
        Code::ResourceNotFound => "RESOURCE_NOT_FOUND",
        Code::DuplicateResource => "DUPLICATE_RESOURCE",
        Code::UnacceptableCredential => "UNACCEPTABLE_CREDENTIAL",
        Code::InconsistentVoterSet => "INCONSISTENT_VOTER_SET",
        Code::InvalidUpdateVersion => "INVALID_UPDATE_VERSION",
        Code::FeatureUpdateFailed => "FEATURE_UPDATE_FAILED",
        Code::PrincipalDeserializationFailure => "PRINCIPAL_DESERIALIZATION_FAILURE",
        Code::UnknownTopicId => "UNKNOWN_TOPIC_ID",
        Code::FencedMemberEpoch => "FENCED_MEMBER_EPOCH",
        Code::UnreleasedInstanceId => "UNRELEASED_INSTANCE_ID",
        Code::UnsupportedAssignor => "UNSUPPORTED_ASSIGNOR",
        Code::StaleMemberEpoch => "STALE_MEMBER_EPOCH",
        Code::UnknownSubscriptionId => "UNKNOWN_SUBSCRIPTION_ID",
        Code::TelemetryTooLarge => "TELEMETRY_TOO_LARGE",
        Code::RebootstrapRequired => "REBOOTSTRAP_REQUIRED",
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_names_of_kafkas_protocol_where_librdkafka_spells_them_differently() {
        let names = [
            (Code::UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION"),
            (Code::UnknownTopic, "UNKNOWN_TOPIC_OR_PARTITION"),
            (Code::MessageSizeTooLarge, "MESSAGE_TOO_LARGE"),
            (Code::KafkaStorageError, "KAFKA_STORAGE_ERROR"),
            (Code::NotEnoughReplicas, "NOT_ENOUGH_REPLICAS"),
            (Code::MessageTimedOut, "_MSG_TIMED_OUT"),
            (Code::QueueFull, "_QUEUE_FULL"),
        ];

        for (code, expected) in names {
            assert_eq!(error_type(&KafkaError::MessageProduction(code)), expected);
        }
        assert_eq!(error_type(&KafkaError::NoMessageReceived), OTHER);
    }

    #[test]
    fn a_handlers_error_is_known_with_the_message_that_came_back_too() {
        let message = || {
            let time = rdkafka::Timestamp::NotAvailable;
            OwnedMessage::new(None, None, "orders".to_owned(), time, 0, 0, None)
        };
        let told = |value: &dyn Any| known_error(value).map(ToString::to_string);
        let canceled = Some("KafkaError (Client dropped)".to_owned());

        assert_eq!(told(&KafkaError::Canceled), canceled);
        assert_eq!(told(&(KafkaError::Canceled, message())), canceled);
        assert_eq!(told(&message()), None);
    }
}
