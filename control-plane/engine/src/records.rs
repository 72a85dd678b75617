//! The domain's records, re-exported from the store, so that surfaces do not name the store.

pub use postern_store::{
    Account, AccountId, AccountKind, Agent, AgentId, AnswerClaim, ApiToken, ApiTokenId, AttributeDefinition,
    AttributeType, AuditEntry, AuditFault, AuditHead, AuditVerdict, ChangeKind, Conflict, DeletedGroup, DeletedUser,
    Directory, DirectoryChange, DirectoryId, EnrollmentToken, EnrollmentTokenId, ExternalKey, Flavour, GroupId,
    GroupRow, Holder, IdentityFilter, IdentityId, IgnoredAccount, Job, JobId, JobState, LastImport, LastRun,
    MappingDirection, MappingProgress, MappingVersion, Member, MemberIdentity, MissedRuns, Named, NewMapping, NextRun,
    Operation, OperationFilter, OperationId, OperationState, Organization, OrganizationId, OwnedUser, Page,
    PageRequest, PendingChange, PendingId, Plan, PlanId, PlanState, PlannedOperation, Provisioning, Role, RunOutcome,
    Schedule, ScheduleId, StoredAnswer, Suspension, Switch, TargetId, ThresholdChange, Total, TroubledJob, UserFilter,
    UserId, UserRow, UserSource,
};
