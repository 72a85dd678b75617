//! Users who return in great number: because a server lags, or because a filter is wrong again.

use postern_store::JobState;

use super::company::{Line, company};

#[tokio::test(flavor = "multi_thread")]
async fn many_users_who_come_back_and_would_become_active_wait_for_approval() {
    let mut line = Line::start().await;
    let people = company(60);
    line.done(&people, 0).await;
    let job = line.held(&people[40..], 0, "missing", 40).await;
    line.approve(&job).await;
    assert_eq!(line.count(|user| user.active).await, 20);
    let job = line.held(&people, 0, "activated", 40).await;
    assert_eq!(line.count(|user| user.active).await, 20, "nobody is active before the decision");
    line.reject(&job).await;
    let job = line.held(&people, 0, "activated", 40).await;
    let result = line.approve(&job).await;
    assert_eq!((&result["became_active"], &result["returned"]), (&40.into(), &40.into()), "{result}");
    assert_eq!(line.count(|user| user.active).await, 60);
    // A few return without a question.
    line.done(&people[3..], 0).await;
    assert_eq!(line.count(|user| user.active).await, 57);
    let result = line.done(&people, 0).await;
    assert_eq!((&result["became_active"], &result["returned"]), (&3.into(), &3.into()), "{result}");
    assert_eq!(line.count(|user| user.active).await, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_missing_is_counted_though_as_many_come_back() {
    let mut line = Line::start().await;
    let people = company(60);
    line.done(&people, 0).await;
    let job = line.held(&people[20..], 0, "missing", 20).await;
    line.approve(&job).await;
    // Twenty others leave; as many accounts are present as entries came.
    let job = line.import(&people[..40], 0).await;
    let job = line.site.wait_for(job, JobState::Held).await;
    let hold = job.hold.as_ref().unwrap();
    assert_eq!((&hold["missing"], &hold["reasons"][1]["count"]), (&20.into(), &20.into()), "{hold}");
    assert_eq!(line.count(|user| user.active).await, 40);
    let result = line.approve(&job).await;
    assert_eq!((&result["missing"], &result["returned"]), (&20.into(), &20.into()), "{result}");
    assert_eq!(line.count(|user| user.active).await, 40);
}
