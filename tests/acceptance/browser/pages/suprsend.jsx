// What a customer's page does with @suprsend/react-headless: an inbox that counts and lists.
import React from "react";
import { createRoot } from "react-dom/client";
import { SuprSendProvider, useBell, useNotifications } from "@suprsend/react-headless";

class Caught extends React.Component {
  state = {};
  static getDerivedStateFromError(error) {
    return { error: String(error) };
  }
  render() {
    return this.state.error ? <p id="crashed">{this.state.error}</p> : this.props.children;
  }
}

const Inbox = () => {
  const { notifications } = useNotifications();
  const { unSeenCount, markAllSeen } = useBell();
  window.markAllSeen = markAllSeen;
  window.renders = (window.renders ?? 0) + 1;
  return (
    <div>
      <b id="count">{String(unSeenCount)}</b>
      <ul>
        {notifications.map((each) => (
          <li key={each.n_id}>{each.message.header}</li>
        ))}
      </ul>
    </div>
  );
};

window.inbox = (distinctId, subscriberId) =>
  createRoot(document.querySelector("main")).render(
    <Caught>
      <SuprSendProvider workspaceKey="wk_test" workspaceSecret="ws" distinctId={distinctId} subscriberId={subscriberId}>
        <Inbox />
      </SuprSendProvider>
    </Caught>,
  );
